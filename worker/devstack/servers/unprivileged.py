"""PostgreSQL as another user, when this process is root: PostgreSQL refuses to run as root.

It runs as `nobody`, which exists on every Linux and macOS, so no user has to be created. `nobody`
must be able to reach the programs and the data, but cannot enter a home that is private to its
owner, and such a home must stay private. So programs that `nobody` cannot reach are copied next to
the data (34 MB, 0.1 s). Data in a folder that it cannot reach is kept under /var/lib/trackrelay,
and the folder gets a link to it.
"""

import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path

from .child_process import ServerError

KEPT_FOR_ROOT = Path("/var/lib/trackrelay")
LINK = "kept-elsewhere"
TEMPORARY = (Path("/tmp"), Path("/var/tmp"))


def owner() -> tuple[int, int] | None:
    """Return user and group id for PostgreSQL, or None if this process is not root.

    Raises:
        ServerError: There is no user `nobody`.
    """
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
    """Return whether a user can reach the content of a folder."""
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
    """Return a new temporary folder that PostgreSQL's user can reach.

    Raises:
        ServerError: There is no place for one.
    """
    who = owner()
    if who is None:
        return Path(tempfile.mkdtemp(prefix=prefix))
    for place in (Path(tempfile.gettempdir()), *TEMPORARY):
        if place.is_dir() and may_enter(place, *who):
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
            folder.chmod(0o711)
            return folder
    raise ServerError(
        f"PostgreSQL runs as user {who[0]}, who can reach no folder for temporary files"
    )


def reachable_home(wanted: Path) -> Path:
    """Return the folder if PostgreSQL's user can reach it, else one elsewhere that it links to."""
    who = owner()
    if who is None or may_enter(wanted, *who):
        return wanted.resolve()  # a link to it may be unreachable itself
    link = wanted / LINK
    kept = KEPT_FOR_ROOT / f"{wanted.name}-{hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]}"
    if moved := _kept_for_moved(wanted, link):
        kept = moved
    elif not link.is_symlink() or link.readlink() != kept:
        # The data of an earlier folder with this path, which was deleted.
        shutil.rmtree(kept, ignore_errors=True)
        link.unlink(missing_ok=True)
        link.symlink_to(kept)
    kept.mkdir(parents=True, exist_ok=True)
    for folder in (KEPT_FOR_ROOT, kept):
        folder.chmod(0o755)  # independent of the umask
    (kept / "kept-for").write_text(f"{wanted.stat().st_dev} {wanted}")
    _sweep()
    return kept


def _kept_for_moved(wanted: Path, link: Path) -> Path | None:
    """Return the kept data of a folder that was renamed.

    Returns:
        None if the folder has no link, or is a copy of a folder that still exists.
    """
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
    """Remove the kept data of deleted folders, unless their whole disk is not mounted."""
    for note in KEPT_FOR_ROOT.glob("*/kept-for"):
        device, _, wanted = note.read_text().partition(" ")
        existing = next(place for place in (Path(wanted), *Path(wanted).parents) if place.exists())
        if not (Path(wanted) / LINK).is_symlink() and str(existing.stat().st_dev) == device:
            shutil.rmtree(note.parent, ignore_errors=True)


def reachable_copy(package: Path, home: Path, name: str) -> Path:
    """Return the package's folder if PostgreSQL's user can reach it, else a copy in `home`."""
    who = owner()
    if who is None or may_enter(package / "pginstall" / "bin", *who):
        return package.resolve()
    copy = home / name
    if not copy.is_dir():
        fresh = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=home))
        fresh.chmod(0o755)
        # The programs find their libraries by relative paths: in the package, or beside it.
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.is_dir():
                shutil.copytree(
                    folder,
                    fresh / folder.name,
                    ignore=shutil.ignore_patterns("include", "*.py*", "__*"),
                )
        fresh.rename(copy)
    return copy / package.name
