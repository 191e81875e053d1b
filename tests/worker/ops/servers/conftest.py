import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.ops.servers import unprivileged


@pytest.fixture
def reachable_dir() -> Iterator[Path]:
    """A folder that `nobody` can reach too, which pytest's `tmp_path` is not when we are root."""
    folder = unprivileged.temporary_dir("trackrelay-test-")
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)
