"""The activity log is bounded, and finds the activities of one person without a search."""

from __future__ import annotations

import json

import pytest

from trackrelay.sandbox.in_process import InProcessSandbox
from trackrelay.sandbox.parsed_operations import Arrival
from trackrelay.sandbox.workspace import activities
from trackrelay.sandbox.workspace.activities import ActivityLog, StoredEvent, entry_id


def record(log: ActivityLog, first: int, count: int, people: int) -> None:
    for seq in range(first, first + count):
        log.add(Arrival(seq, 1.0), "device_change", str(seq % people), {"device_id": str(seq)})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> ActivityLog:
    monkeypatch.setattr(activities, "MAX_LISTED", 20)
    monkeypatch.setattr(activities, "MAX_OF_PERSON", 4)
    return ActivityLog()


def test_the_oldest_are_dropped(small: ActivityLog) -> None:
    record(small, 1, 50, people=5)
    assert [entry.order[0] for entry in small.latest("")] == list(range(50, 30, -1))


@pytest.mark.parametrize("reads", [False, True])
def test_the_index_of_people_has_the_latest_after_earlier_reads(
    small: ActivityLog, reads: bool
) -> None:
    for first in range(1, 101, 10):
        record(small, first, 10, people=5)
        if reads:
            assert list(small.of_person("1", [], ""))
    own = [entry.order[0] for entry in small.of_person("1", [], "")]
    assert own == [96, 91, 86, 81]


def test_the_index_does_not_grow_beyond_the_log(small: ActivityLog) -> None:
    for first in range(1, 1001, 10):
        record(small, first, 10, people=1)
        list(small.of_person("0", [], ""))
    assert sum(len(own) for own in small._by_person.values()) <= 2 * activities.MAX_LISTED + 10


def test_events_and_the_rest_are_in_one_order(small: ActivityLog) -> None:
    record(small, 1, 1, people=1)
    event = StoredEvent(2, 1.0, "event", "seen", None, "0")
    small.add_event(event)
    record(small, 3, 1, people=1)
    assert [entry.order[0] for entry in small.latest("")] == [3, 2, 1]
    assert [entry.order[0] for entry in small.of_person("0", [event], "")] == [3, 2, 1]
    assert list(small.latest("event")) == [event]


def test_an_activity_has_its_own_id(small: ActivityLog) -> None:
    arrival = Arrival(1, 1.0)
    for _ in range(3):
        small.add(arrival, "profile_create", "0")
    small.add_event(StoredEvent(1, 1.0, "event", "seen", None, "0"))
    ids = {entry_id(entry) for entry in small.latest("")}
    assert len(ids) == 4
    assert {len(each) for each in ids} == {26}


def test_a_sandbox_in_the_test_s_process_answers_the_app_api_too() -> None:
    sandbox = InProcessSandbox()
    operation = {"type": "person", "action": "identify", "identifiers": {"id": "1"}}
    sandbox.send("POST", "/api/v2/entity", json.dumps(operation).encode())
    answer = sandbox.send("GET", "/v1/customers/1/attributes", b"")
    assert json.loads(answer.body)["customer"]["id"] == "1"
