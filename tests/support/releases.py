"""Releases of trackrelay to run beside each other: this one, and earlier ones out of git."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.support.worker_process import ROOT, clean_environment
from trackrelay.worker.storage.schema import head

#: What runs; the tests of an earlier release do not.
_PARTS = ("producers", "worker", "sandbox", "migrations", "trackrelay", "pyproject.toml")
_PACKAGES = ("requirements/build.txt", "requirements/worker.txt")


class NoHistoryError(Exception):
    """Git does not have the revision: a shallow clone, or no clone at all."""


@dataclass(frozen=True)
class Release:
    """One release.

    Attributes:
        name: what it is called in the table.
        folder: its files.
        python: the interpreter with the packages that it needs.
    """

    name: str
    folder: Path
    python: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes the interpreter import this release, and nothing of the current folder."""
        return {"PYTHONPATH": str(self.folder), "PYTHONSAFEPATH": "1"}

    def command_line(self, *arguments: str) -> list[str]:
        """The command that is `trackrelay …` in this release."""
        project = tomllib.loads((self.folder / "pyproject.toml").read_text())["project"]
        module, _, function = project["scripts"]["trackrelay"].partition(":")
        return [
            str(self.python),
            "-c",
            f"from {module} import {function} as run; run()",
            *arguments,
        ]

    def run(self, settings: dict[str, str], *arguments: str) -> str:
        """Run a command of this release, and return what it prints."""
        answer = subprocess.run(
            self.command_line(*arguments),
            env=clean_environment() | settings | self.environment,
            cwd=self.folder,
            check=False,
            capture_output=True,
            text=True,
        )
        if answer.returncode:
            raise RuntimeError(f"{self.name}: trackrelay {' '.join(arguments)}:\n{answer.stderr}")
        return answer.stdout


def this_release() -> Release:
    """The release that is tested."""
    return Release("new", ROOT, Path(sys.executable))


def before_newest_migration() -> str:
    """The revision in git before the newest migration was added.

    Raises:
        NoHistoryError: git does not reach back to it.
    """
    newest = f"migrations/versions/{head()}_*.py"
    added = _git("log", "--diff-filter=A", "--format=%H", "--", newest).split()
    if not added:
        # Not committed yet: then the last commit does not have it.
        return _git("rev-parse", "HEAD").strip()
    return _git("rev-parse", "--verify", f"{added[-1]}^").strip()


def earlier_release(revision: str, folder: Path, *, own_packages: bool = False) -> Release:
    """Take a release out of git.

    Args:
        revision: a commit or a tag.
        folder: gets the files.
        own_packages: whether it gets an environment with the versions that it was tested with,
            or the packages of this one.

    Raises:
        NoHistoryError: git does not have the revision.
    """
    name = _git("rev-parse", "--short", f"{revision}^{{commit}}").strip()
    parts = (*_PARTS, *(_PACKAGES if own_packages else ()))
    with tarfile.open(fileobj=io.BytesIO(_git_bytes("archive", revision, *parts))) as archive:
        archive.extractall(folder, filter="data")
    if not own_packages:
        return Release(f"old ({name})", folder, Path(sys.executable))
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    listed = [argument for path in _PACKAGES for argument in ("-r", str(folder / path))]
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "--require-hashes", *listed], check=True)
    return Release(f"old ({name})", folder, python)


def _git(*arguments: str) -> str:
    return _git_bytes(*arguments).decode()


def _git_bytes(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout
    except FileNotFoundError as error:
        raise NoHistoryError(str(error)) from None
    except subprocess.CalledProcessError as error:
        raise NoHistoryError(error.stderr.decode().strip()) from None
