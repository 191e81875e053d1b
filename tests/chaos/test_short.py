"""The short part of `make chaos`: a fixed seed, some of each fault, about a minute when idle."""

from pathlib import Path

import pytest

from tests.chaos import everything  # noqa: F401 - puts its scenarios on the list
from tests.chaos.running import run
from tests.chaos.scenario import SCENARIOS


@pytest.mark.chaos
def test_nothing_is_lost_doubled_or_out_of_order_through_a_little_of_everything(
    tmp_path: Path,
) -> None:
    result = run(SCENARIOS["short"], seed=7, seconds=None, jobs=None, folder=tmp_path)

    assert result.problems == []
    assert result.good
    assert result.injected >= 10
