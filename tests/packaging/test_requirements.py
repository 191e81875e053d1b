"""requirements/ lists each extra's packages, with constraints.txt's versions and file hashes."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s]+)", re.MULTILINE)
FILES = ["build", "worker", "embedded", "dev"]


def pinned(text: str) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in PINNED.findall(text)}


def extras(*names: str) -> set[str]:
    """The packages that extras name, and those of the extras that they name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted, found = [*project["dependencies"]], set()
    for name in names:
        wanted += project["optional-dependencies"][name]
    while wanted:
        requirement = Requirement(wanted.pop())
        if requirement.name == "trackrelay":
            wanted += [
                each
                for extra in requirement.extras
                for each in project["optional-dependencies"][extra]
            ]
        else:
            found.add(canonicalize_name(requirement.name))
    return found


@pytest.mark.parametrize("name", FILES)
def test_the_versions_are_those_of_the_constraints(name: str) -> None:
    constraints = pinned((ROOT / "constraints.txt").read_text())
    found = pinned((ROOT / "requirements" / f"{name}.txt").read_text())

    assert found
    # Of other systems only, Windows and old Pythons, some are not among what was installed.
    assert {
        package: version
        for package, version in found.items()
        if constraints.get(package, version) != version
    } == {}


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_has_hashes(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    lines = [
        line for line in text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")
    ]

    assert not [line for line in lines if not re.search(r"--hash=sha256:[0-9a-f]{64}", line)]
    assert "git+" not in text
    assert not re.search(r"^-|://", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "names"),
    [("worker", ("worker", "sandbox", "console")), ("embedded", ("embedded",)), ("dev", ("dev",))],
)
def test_every_package_that_an_extra_names_is_there(name: str, names: tuple[str, ...]) -> None:
    assert (
        extras(*names) - pinned((ROOT / "requirements" / f"{name}.txt").read_text()).keys() == set()
    )


def test_setup_and_image_install_nothing_without_a_hash() -> None:
    for name in ("scripts/setup", "Dockerfile"):
        text = (ROOT / name).read_text().replace("\\\n", " ")
        installs = re.findall(r"(?:^install|pip install) (--[^q].+)$", text, re.MULTILINE)
        assert len(installs) == 2
        assert all(
            "--require-hashes" in each or "--no-deps --no-build-isolation" in each
            for each in installs
        ), installs
