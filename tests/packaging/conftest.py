"""The built wheel, and environments in which it is installed with one of its extras."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging.environment import Environment
from tests.support.waiting import patient

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    # Without isolation: the build requirements are installed and pinned, and nothing is downloaded.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=patient(100), check=False
    )
    assert done.returncode == 0, f"the build failed:\n{done.stdout}\n{done.stderr}"
    return folder


@pytest.fixture(scope="session")
def wheel(distributions: Path) -> Path:
    """The wheel."""
    (wheel,) = distributions.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def environment(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Environment]:
    """Makes the environment of an extra (`""` for the base install), once."""
    made: dict[str, Environment] = {}

    def make(extra: str) -> Environment:
        if extra not in made:
            made[extra] = Environment.make(
                tmp_path_factory.mktemp(f"environment-{extra or 'base'}"), wheel, extra
            )
        return made[extra]

    return make
