"""When alerts begin and end."""

from trackrelay.worker.cli.watch.alert_tracker import AlertTracker, Change

LATE = {"oldest>10m": "12 min"}


def test_a_condition_begins_an_alert_once_it_has_held_long_enough() -> None:
    tracker = AlertTracker(for_s=60, clear_s=60)
    assert tracker.update(0, LATE) == []
    assert tracker.update(59, LATE) == []
    assert tracker.update(60, {"oldest>10m": "13 min"}) == [
        Change("oldest>10m", "firing", "13 min", 0)
    ]
    assert tracker.update(120, LATE) == []


def test_a_moment_begins_nothing_and_ends_nothing() -> None:
    tracker = AlertTracker(for_s=60, clear_s=60)
    tracker.update(0, LATE)
    tracker.update(30, {})
    assert tracker.update(61, LATE) == []
    assert [each.state for each in tracker.update(121, LATE)] == ["firing"]
    assert tracker.update(150, {}) == []
    assert tracker.update(170, LATE) == []
    assert tracker.update(229, {}) == []
    assert tracker.update(230, {}) == [Change("oldest>10m", "resolved", "12 min", 61)]
    assert tracker.update(300, {}) == []


def test_what_is_not_known_begins_and_ends_nothing() -> None:
    tracker = AlertTracker(for_s=10, clear_s=10)
    tracker.update(0, LATE)
    assert len(tracker.update(10, LATE)) == 1
    assert tracker.update(500, {}, unknown={"oldest>10m"}) == []
    assert tracker.update(505, {}) == []
    assert [each.state for each in tracker.update(510, {})] == ["resolved"]


def test_a_new_watcher_ends_an_alert_that_another_one_began() -> None:
    tracker = AlertTracker(for_s=10, clear_s=10)
    tracker.resume("lost>0", "3 jobs", since=-100, now=0)
    assert tracker.update(5, {"lost>0": "3 jobs"}) == []
    assert tracker.update(15, {}) == [Change("lost>0", "resolved", "3 jobs", -100)]
