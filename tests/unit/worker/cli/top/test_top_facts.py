"""How the counters of two readings become rates, and how reading goes on beside the screen."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

import pytest

from tests.support.waiting import wait_until
from tests.unit.worker.cli.status.snapshots import NOW, redis_side, shard, snapshot
from trackrelay.worker.cli.top.top_facts import WINDOW_S, Flow, Reader, Reading, flows
from trackrelay.worker.storage.counters import Point
from trackrelay.worker.storage.counts import Name, Tally

MINUTE = NOW // 60 * 60


def reading(at: float, delivered: dict[int, int], waiting: int = 0) -> Reading:
    """Return what is read ``at`` seconds after NOW, with deliveries by minutes after NOW."""
    taken = replace(snapshot(redis_side(shards=[shard(live=waiting)])), now=NOW + at)
    return Reading(
        taken,
        [
            Point(MINUTE + 60 * minute, Name.DELIVERED, (family,), Tally(jobs))
            for minute, jobs in delivered.items()
            for family in ("v2", "forms")
        ],
    )


def delivered(now: Reading, before: Reading | None = None) -> Flow:
    found = flows(now, before)
    assert found is not None
    return found.rows[0]


@pytest.mark.parametrize(
    ("before", "now", "per_second"),
    [
        # The same minute, both families.
        (reading(0, {0: 100}), reading(10, {0: 150}), 10.0),
        # A minute ended meanwhile.
        (reading(50, {0: 100}), reading(70, {0: 130, 1: 70}), 10.0),
        # An old minute was folded away, and the hour lost its first one.
        (reading(50, {-59: 9, -5: 7, 0: 1}), reading(60, {-5: 7, 0: 1, 1: 5}), 1.0),
        # A late settlement of the minute before.
        (reading(61, {0: 10}), reading(71, {0: 20}), 2.0),
        # Nothing was counted yet.
        (reading(0, {}), reading(10, {0: 5}), 1.0),
        # Other counters: the installation was set up again.
        (reading(0, {0: 100}), reading(10, {0: 3}), 0.0),
        # The clock stood still, or went back.
        (reading(0, {0: 100}), reading(0, {0: 150}), None),
    ],
)
def test_a_rate_is_what_was_counted_between_two_readings(
    before: Reading, now: Reading, per_second: float | None
) -> None:
    assert delivered(now, before).per_second == per_second


def test_without_an_earlier_reading_there_is_no_rate() -> None:
    now = reading(0, {0: 100})
    assert delivered(now).per_second is None
    assert delivered(now, replace(now, points=None)).per_second is None
    assert flows(replace(now, points=None), now) is None


def test_minutes_without_counts_are_0_and_samples_that_are_missing_are_not_known() -> None:
    found = flows(reading(30, {0: 10, -2: 4}), None)
    assert found is not None
    assert found.rows[0].by_minute[-3:] == [8, 0, 20]
    assert (found.rows[0].last_minute, found.rows[0].last_hour) == (20, 28)
    assert found.waiting == [None] * 60
    assert found.arrival_s is None


def test_more_waiting_jobs_are_a_positive_change_and_a_store_that_is_away_none() -> None:
    before, now = reading(0, {}, waiting=5), reading(10, {}, waiting=45)

    def change(now: Reading, before: Reading) -> float | None:
        found = flows(now, before)
        return found.waiting_per_second if found else None

    assert change(now, before) == 4.0
    assert change(before, now) is None
    away = replace(before, snapshot=replace(before.snapshot, redis=None))
    assert change(now, away) is None


def test_a_rate_covers_the_window_however_often_is_read() -> None:
    reader = Reader(lambda: reading(0, {}), 1.0)
    assert reader.latest is None
    for second in range(60):
        reader.add(reading(second, {}))
    assert reader.latest is not None
    now, before = reader.latest
    assert before is not None
    assert now.snapshot.now - before.snapshot.now == WINDOW_S


def test_an_error_of_the_thread_is_raised_at_the_screen() -> None:
    def fail() -> Reading:
        raise ZeroDivisionError

    with Reader(fail, 0.01) as reader:
        wait_until(lambda: reader.error is not None)
        with pytest.raises(ZeroDivisionError):
            _ = reader.latest


def test_a_reading_that_does_not_end_is_late_and_is_not_waited_for() -> None:
    release, clock = Event(), [0.0]

    def read() -> Reading:
        release.wait()
        return reading(0, {})

    with Reader(read, 0.01, clock=lambda: clock[0]) as reader:
        wait_until(lambda: reader.began is not None)
        clock[0] = 7.0
        assert reader.late_s == 7.0
    release.set()
    wait_until(lambda: reader.latest is not None)
    assert reader.late_s == 0.0
