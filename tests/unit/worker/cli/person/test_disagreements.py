"""Where our ledger and Customer.io disagree about a person, by tables of what both say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from trackrelay import Person
from trackrelay.app_api import Activity, Profile
from trackrelay.worker.cli.find.job_query import FoundJob
from trackrelay.worker.cli.person.customerio_side import CustomerioSide
from trackrelay.worker.cli.person.disagreements import disagreements
from trackrelay.worker.storage.queries.job_search import Match

NOW = 1_800_000_000.0
ADA = Person(id="42")


def jobs(*delivered: tuple[str, float]) -> list[FoundJob]:
    """Jobs by operation, and how many seconds ago they were delivered."""
    return [
        FoundJob(
            (
                Match(
                    place="ledger",
                    id=f"J{number}",
                    operation=operation,
                    keys=("id:42",),
                    enqueued_at=NOW - age - 1,
                    at=NOW - age,
                ),
            )
        )
        for number, (operation, age) in enumerate(delivered)
    ]


def theirs(*, exists: bool = True, known: bool = True, **more: Any) -> CustomerioSide:
    profile = Profile("42", "c", None, {}, {}, False) if exists else None
    return CustomerioSide(is_known=known, profile=profile, **more)


def event(age: float, id: str = "A") -> Activity:
    return Activity(id, "event", int(NOW - age), name="seen")


@pytest.mark.parametrize(
    ("delivered", "side", "kinds"),
    [
        # both agree
        ([], theirs(), []),
        ([], theirs(exists=False), []),
        ([("person.identify", 500)], theirs(), []),
        ([("person.delete", 500)], theirs(exists=False), []),
        ([("person.identify", 900), ("person.delete", 500)], theirs(exists=False), []),
        ([("person.suppress", 900), ("person.unsuppress", 500)], theirs(), []),
        # Customer.io may still be busy
        ([("person.identify", 60)], theirs(exists=False), []),
        ([("person.delete", 60)], theirs(), []),
        # nothing is known of Customer.io
        ([("person.identify", 500)], theirs(exists=False, known=False), []),
        # what does not make a profile
        ([("person.add_relationships", 500)], theirs(exists=False), []),
        ([("person.identify", 900), ("person.merge", 500)], theirs(exists=False), []),
        # disagreements
        ([("person.identify", 500)], theirs(exists=False), ["no_profile"]),
        ([("person.event", 500)], theirs(exists=False), ["no_profile"]),
        (
            [("person.delete", 900), ("person.identify", 500)],
            theirs(exists=False),
            ["no_profile"],
        ),
        ([("person.delete", 500)], theirs(), ["still_there"]),
        ([("person.suppress", 500)], theirs(), ["still_there"]),
        ([("person.delete", 900), ("person.identify", 60)], theirs(), ["made_again"]),
        (
            [("person.suppress", 900), ("person.identify", 500)],
            theirs(exists=False),
            ["after_suppress"],
        ),
        (
            [("person.suppress", 900), ("person.identify", 500)],
            theirs(),
            ["after_suppress", "still_there"],
        ),
    ],
)
def test_the_profile_is_as_the_deliveries_left_it(
    delivered: list[tuple[str, float]], side: CustomerioSide, kinds: list[str]
) -> None:
    assert [each.kind for each in disagreements(ADA, jobs(*delivered), side, NOW)] == kinds


def test_a_job_that_was_blocked_was_not_delivered() -> None:
    (job,) = jobs(("person.identify", 500))
    blocked = FoundJob((replace(job.first, outcome="blocked"),))
    assert disagreements(ADA, [blocked], theirs(exists=False), NOW) == []


def test_another_id_in_the_profile_is_reported() -> None:
    side = CustomerioSide(is_known=True, profile=Profile("43", "c", None, {}, {}, False))
    (found,) = disagreements(ADA, [], side, NOW)
    assert (found.kind, "43" in found.text) == ("other_person", True)
    assert disagreements(Person(email="a@example.com"), [], side, NOW) == []


@pytest.mark.parametrize(
    ("delivered", "activities", "has_more", "missing"),
    [
        ([("person.event", 500)], [event(500)], False, ()),
        ([("person.event", 500)], [], False, ("J0",)),
        ([("person.page", 500), ("person.screen", 600)], [event(500)], False, ("J1",)),
        # one activity is not two events
        ([("person.event", 500), ("person.event", 501)], [event(500)], False, ("J1",)),
        # the same id, at any time
        ([("person.event", 500)], [event(90_000, id="J0")], False, ()),
        # another time
        ([("person.event", 500)], [event(900)], False, ("J0",)),
        # too fresh
        ([("person.event", 60)], [], False, ()),
        # older than the activities that were read, or than Customer.io keeps
        ([("person.event", 5_000)], [event(500)], True, ()),
        ([("person.event", 30 * 86_400)], [], False, ()),
        # no event
        ([("person.identify", 500)], [], False, ()),
        ([("object.identify", 500)], [], False, ()),
    ],
)
def test_delivered_events_are_among_the_activities(
    delivered: list[tuple[str, float]],
    activities: list[Activity],
    has_more: bool,
    missing: tuple[str, ...],
) -> None:
    side = theirs(activities=activities, has_more_activities=has_more)
    found = disagreements(ADA, jobs(*delivered), side, NOW)
    assert [each.jobs for each in found] == ([missing] if missing else [])
    assert {each.kind for each in found} <= {"events_missing"}


@pytest.mark.parametrize(
    ("type", "told"),
    [
        ("failed_attribute_change", True),
        ("failed_event", True),
        ("relationship_failed_attribute_change", True),
        ("_o:1:failed_attribute_change", True),
        ("_r:12:failed_attribute_change", True),
        ("skipped_update", True),
        ("failed_batch_update", True),
        ("failed_email", False),
        ("attribute_change", False),
        ("x_failed_event", False),
    ],
)
def test_complaints_of_customer_io_are_reported(type: str, told: bool) -> None:
    complaint = Activity("A", type, int(NOW - 60), data={"phone": {"from": "", "to": "12"}})
    found = disagreements(ADA, [], theirs(activities=[complaint]), NOW)
    assert [each.kind for each in found] == (["ignored"] if told else [])
    if told:
        assert "phone: – → 12" in found[0].text
