"""A virtual environment with the wheel and its declared dependencies, nothing else."""

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.waiting import patient
from tests.support.worker_process import clean_environment


@dataclass(frozen=True)
class Environment:
    """Where it is; everything in it runs in a folder that has nothing to do with the project."""

    folder: Path

    @classmethod
    def make(
        cls, folder: Path, wheel: Path, extra: str
    ) -> "Environment":  # one, or several with commas between
        """Make the environment, install the wheel by pip, and link its declared dependencies.

        The dependencies are not downloaded again: those of the tests' own environment are linked,
        found by following what each package declares. So a dependency that the project forgot to
        declare is missing here, as it would be for a user. The test takes seconds and no network.
        """
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        made = cls(folder)
        install = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(made.python),
            "install",
            "--quiet",
            "--no-input",
        ]
        subprocess.run(
            [*install, "--no-index", "--no-deps", str(wheel)], check=True, timeout=patient(60)
        )
        (installed,) = Distribution.discover(name="trackrelay", path=[str(made.site_packages)])
        for each in extra.split(","):
            for dependency in _closure(installed, each):
                _link(dependency, made.site_packages)
        made.elsewhere.mkdir()
        return made

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "venv" / "bin" / "python"

    @property
    def elsewhere(self) -> Path:
        """An empty folder to run things in."""
        return self.folder / "elsewhere"

    @property
    def site_packages(self) -> Path:
        """Where packages are installed."""
        version = sysconfig.get_python_version()
        return self.folder / "venv" / "lib" / f"python{version}" / "site-packages"

    def run(
        self,
        *command: str,
        settings: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        text: str | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run one of its programs, by default in an empty folder, with ``text`` on its stdin."""
        return subprocess.run(
            [str(self.folder / "venv" / "bin" / command[0]), *command[1:]],
            cwd=cwd or self.elsewhere,
            input=text,
            env=clean_environment() | dict(settings or {}),
            capture_output=True,
            text=True,
            timeout=patient(90),
            check=False,
        )


def _closure(installed: Distribution, extra: str) -> Iterable[Distribution]:
    """The distributions that this one needs with this extra, directly or not."""
    found: dict[str, Distribution] = {}
    asked = set()
    waiting = [(installed, extra)]
    while waiting:
        asking, its_extra = waiting.pop()
        for requirement in map(Requirement, asking.requires or ()):
            if requirement.marker is not None and not requirement.marker.evaluate(
                {"extra": its_extra}
            ):
                continue
            name = canonicalize_name(requirement.name)
            needed = (
                installed if name == "trackrelay" else found.setdefault(name, distribution(name))
            )
            for its in ("", *requirement.extras):
                if (name, its) not in asked:
                    asked.add((name, its))
                    waiting.append((needed, its))
    return found.values()


def _link(dependency: Distribution, site_packages: Path) -> None:
    """Links what a distribution has put into site-packages."""
    for name in {file.parts[0] for file in dependency.files or ()} - {"..", "__pycache__"}:
        link = site_packages / name
        if not link.exists():
            link.symlink_to(str(dependency.locate_file(name)))
