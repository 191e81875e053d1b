"""mypy checks calls of a plan's typed module, as in an application: ten seconds of a core."""

import sys
from pathlib import Path

from tests.support.typed_calls import WRONG, errors


def test_mypy_finds_every_wrong_call_and_no_right_one(tmp_path: Path) -> None:
    found = errors([sys.executable, "-m", "mypy", "--strict"], tmp_path)
    assert [line for line, _ in found] == WRONG
    assert '"total"' in found[0][1]
    assert 'Missing key "total"' in found[1][1]
