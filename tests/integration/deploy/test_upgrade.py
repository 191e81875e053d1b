"""An upgrade over the newest migration, and the way back, under load."""

from pathlib import Path

import pytest

from tests.support.releases import (
    NoHistoryError,
    before_newest_migration,
    earlier_release,
    this_release,
)
from tests.support.skips import NO_HISTORY
from tests.support.upgrade_rehearsal import Load, rehearse
from trackrelay.worker.storage.schema import head


def test_nothing_is_lost_twice_or_out_of_order_while_releases_replace_each_other(
    tmp_path: Path,
) -> None:
    try:
        old = earlier_release(before_newest_migration(), tmp_path / "old")
    except NoHistoryError:
        pytest.skip(NO_HISTORY)
    load = Load(rate=10, seconds=0.3, callers=("ada",))
    report = rehearse(old, this_release(), tmp_path, workers=1, load=load, down=False)
    before, *later = report.steps
    assert before.tables < head()
    assert {each.tables for each in later} == {head()}
    assert {each.workers for each in later} == {"old", "new"}
    assert {each.callers for each in later} == {"old", "new"}
    assert report.accounts.problems == []
    assert report.accounts.jobs == report.accounts.arrived > 50
