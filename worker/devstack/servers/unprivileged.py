"""Running PostgreSQL when we are root, which it refuses to be.

It then runs as `nobody`: a user that every Linux and macOS has (initdb wants one with a name), so none is created. That
user must be able to reach the programs and the data. A clone or a virtual environment under a home that only its owner
may enter is out of its reach, and opening somebody's home is not ours to do. So the programs are copied next to the
data when they are out of reach (34 MB, a tenth of a second), and data that was wanted in such a place is kept under
/var/lib/trackrelay, with a link to it where it was wanted.
"""

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path

from .server_errors import ServerError

KEPT_FOR_ROOT = Path("/var/lib/trackrelay")
LINK = "kept-elsewhere"
TEMPORARY = (Path("/tmp"), Path("/var/tmp"))


def owner() -> tuple[int, int] | None:
    """User and group id to run a server as that refuses root; `None` when we are not root."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise ServerError(
            "PostgreSQL does not run as root, and there is no user `nobody` to run it as"
        ) from None
    return nobody.pw_uid, nobody.pw_gid


def may_enter(folder: Path, uid: int, gid: int) -> bool:
    """Whether this user can reach what is in the folder."""
    return all(
        _may_search(place.stat(), uid, gid)
        for place in (folder.resolve(), *folder.resolve().parents)
    )


def _may_search(found: os.stat_result, uid: int, gid: int) -> bool:
    if found.st_uid == uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def temporary_dir(prefix: str) -> Path:
    """A new folder, in a place that the server's user can reach."""
    who = owner()
    if who is None:
        return Path(tempfile.mkdtemp(prefix=prefix))
    for place in (Path(tempfile.gettempdir()), *TEMPORARY):
        if place.is_dir() and may_enter(place, *who):
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
            folder.chmod(0o711)
            return folder
    raise ServerError(
        f"PostgreSQL runs as user {who[0]}, who can reach none of the folders for temporary files"
    )


def reachable_home(wanted: Path) -> Path:
    """The folder itself if the server's user can reach it, otherwise one elsewhere that it is given a link to."""
    who = owner()
    if who is None or may_enter(wanted, *who):
        return wanted.resolve()  # a link to it may itself be out of reach
    link = wanted / LINK
    kept = KEPT_FOR_ROOT / f"{wanted.name}-{hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]}"
    if moved := _kept_for_moved(wanted, link):
        kept = moved
    elif not link.is_symlink() or link.readlink() != kept:
        shutil.rmtree(
            kept, ignore_errors=True
        )  # of a folder that stood in this place before and was deleted
        link.unlink(missing_ok=True)
        link.symlink_to(kept)
    kept.mkdir(parents=True, exist_ok=True)
    for folder in (KEPT_FOR_ROOT, kept):
        folder.chmod(0o755)  # whatever our umask made of it
    (kept / "kept-for").write_text(f"{wanted.stat().st_dev} {wanted}")
    _sweep()
    return kept


def _kept_for_moved(wanted: Path, link: Path) -> Path | None:
    """Where the data of a folder is that was renamed since; None if it has none, or is a copy of one that is still there."""
    if not link.is_symlink():
        return None
    kept = link.readlink()
    try:
        before = Path((kept / "kept-for").read_text().partition(" ")[2])
    except OSError:
        return None
    is_copy = (
        before != wanted and (before / LINK).is_symlink() and (before / LINK).readlink() == kept
    )
    return None if is_copy or kept.parent != KEPT_FOR_ROOT else kept


def _sweep() -> None:
    """Removes what is kept for folders that were deleted since; not if their whole disk is absent for the moment."""
    for note in KEPT_FOR_ROOT.glob("*/kept-for"):
        device, _, wanted = note.read_text().partition(" ")
        left = next(place for place in (Path(wanted), *Path(wanted).parents) if place.exists())
        if not (Path(wanted) / LINK).is_symlink() and str(left.stat().st_dev) == device:
            shutil.rmtree(note.parent, ignore_errors=True)


def reachable_copy(package: Path, home: Path, name: str) -> Path:
    """The package's folder if the server's user can reach it, otherwise a copy in `home`."""
    who = owner()
    if who is None or may_enter(package / "pginstall" / "bin", *who):
        return package.resolve()
    copy = home / name
    if not copy.is_dir():
        fresh = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=home))
        fresh.chmod(0o755)
        # Programs find their libraries relative to themselves: inside the package, or in a folder beside it.
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.is_dir():
                shutil.copytree(
                    folder,
                    fresh / folder.name,
                    ignore=shutil.ignore_patterns("include", "*.py*", "__*"),
                )
        fresh.rename(copy)
    return copy / package.name
