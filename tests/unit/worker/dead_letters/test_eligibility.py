"""Which dead letters can become jobs again, and which jobs: decided without any store."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from trackrelay import Person, operations
from trackrelay.operations.keys import shard_of
from trackrelay.operations.operation import Operation
from trackrelay.worker.dead_letters.eligibility import (
    ReplayPolicy,
    ReplayRefusedError,
    asks_newer,
    happened_at,
    prepare,
    superseded_by,
)
from trackrelay.worker.dead_letters.patch import Patch
from trackrelay.worker.storage.dead_letter_queries import DeadLetter
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.replay import Later, Superseded

HASHER = KeyHasher(b"secret")
NOW = 1_800_000_000.0
ENQUEUED = NOW - 7200


def letter(operation: Operation, /, **changes: Any) -> DeadLetter:
    """The dead letter of an operation that was delivered at its time."""
    body = (
        operation.body[:-1] + b',"timestamp":%d}' % ENQUEUED if operation.stamp else operation.body
    )
    made = DeadLetter(
        id=operation.id, operation=operation.name,
        keys=tuple(HASHER.stored(key) for key in operation.keys), lane="live",
        body=body, raw=None, reason="rejected", error="no such plan", field="attributes.plan",
        status=207, attempts=3,
        state="open", source="shop", idempotency_key=operation.idempotency_key, trace="00-1-2-01",
        enqueued_at=ENQUEUED,
        died_at=ENQUEUED + 1, updated_at=ENQUEUED + 1, history=(), version="1",
    )  # fmt: skip
    return replace(made, **changes)


def prepared(of: DeadLetter, **policy: Any) -> Any:
    return prepare(of, ReplayPolicy(**policy), 4, HASHER, NOW)


def refusal(of: DeadLetter, **policy: Any) -> ReplayRefusedError:
    with pytest.raises(ReplayRefusedError) as caught:
        prepared(of, **policy)
    return caught.value


def test_a_dead_letter_becomes_the_same_job_in_the_bulk_lane_with_its_age_starting_now() -> None:
    of = letter(operations.identify("42", {"plan": "x"}, idempotency_key="k"))
    job, changed = prepared(of)
    assert (job.id, job.operation, job.keys, job.body) == (
        of.id,
        "person.identify",
        ("id:42",),
        of.body,
    )
    assert (job.lane, job.enqueued_at, job.age_from, job.attempts, job.replayed) == (
        "bulk",
        ENQUEUED,
        NOW,
        0,
        True,
    )
    assert (job.source, job.idempotency_key, job.trace, job.entry) == (
        "shop",
        "k",
        "00-1-2-01",
        None,
    )
    assert job.shards == (shard_of("id:42", 4),)
    assert changed == []


def test_keys_made_of_personal_data_are_hashed_and_sharded_by_what_they_were() -> None:
    operation = operations.identify(
        Person(email="ada@example.com"), {"plan": "x"}, anonymous_id="a-1"
    )
    job, _ = prepared(letter(operation))
    assert job.keys == (HASHER.stored("email:ada@example.com"), HASHER.stored("anonymous:a-1"))
    assert job.shards == (shard_of("email:ada@example.com", 4), shard_of("anonymous:a-1", 4))


def test_a_repaired_dead_letter_keeps_its_id_and_time_and_lists_the_changes() -> None:
    of = letter(operations.track("42", "bought", {"plan": "x"}))
    job, changed = prepared(of, repair=Patch.parse(("attributes.plan=pro",)))
    document = msgspec.json.decode(job.body)
    assert document["attributes"] == {"plan": "pro"}
    assert (document["id"], document["timestamp"]) == (of.id, ENQUEUED)
    assert changed == [{"path": "attributes.plan", "before": "x", "after": "pro"}]


def test_a_repair_that_takes_the_time_away_leaves_the_time_it_was_enqueued() -> None:
    of = letter(operations.track("42", "bought", timestamp=1_700_000_000))
    job, _ = prepared(of, repair=Patch.parse((), ("timestamp",)))
    assert msgspec.json.decode(job.body)["timestamp"] == ENQUEUED


def test_a_repair_is_checked_like_any_other_operation() -> None:
    why = refusal(
        letter(operations.identify("42", {"plan": "x"})),
        repair=Patch.parse((f"attributes.plan={'y' * 1840}",)),
    )
    assert why.kind == "invalid"
    assert "1,840 bytes; Customer.io takes 1,000" in why.why


@pytest.mark.parametrize(
    ("operation", "repair"),
    [
        (operations.identify("42", {"a": 1}), "identifiers.id=43"),
        (operations.identify("42", {"a": 1}), "attributes.anonymous_id=a-9"),
        (operations.merge(primary="1", secondary="2"), "secondary.id=3"),
        (operations.delete_person("42"), "action=suppress"),
    ],
)
def test_a_repair_that_changes_the_person_or_the_operation_is_refused(
    operation: Operation, repair: str
) -> None:
    assert refusal(letter(operation), repair=Patch.parse((repair,))).kind == "keys"


def test_a_repair_may_leave_a_key_out() -> None:
    of = letter(operations.identify("42", {"a": 1}, anonymous_id="a-1"))
    job, _ = prepared(of, repair=Patch.parse((), ("attributes.anonymous_id",)))
    assert job.keys == ("id:42",)


def test_a_repair_keeps_its_keys_under_a_secret_that_was_changed_since() -> None:
    of = letter(
        operations.identify(Person(email="ada@example.com"), {"plan": "x"}), keys=("email:#0",)
    )
    job, _ = prepared(of, repair=Patch.parse(("attributes.plan=pro",)))
    assert job.keys == (HASHER.stored("email:ada@example.com"),)


def test_an_undecodable_dead_letter_needs_a_document_and_then_becomes_its_job() -> None:
    of = letter(
        operations.identify("42"),
        body=None,
        raw=b"{}",
        reason="undecodable",
        operation="unknown",
        keys=("unknown",),
    )
    assert refusal(of).kind == "undecodable"
    assert refusal(of, repair=Patch.parse(("attributes.a=1",))).kind == "undecodable"
    document = {"type": "person", "identifiers": {"id": "42"}, "action": "event", "name": "bought"}
    job, _ = prepared(of, repair=Patch(document=document))
    assert (job.id, job.operation, job.keys) == (of.id, "person.event", ("id:42",))
    assert msgspec.json.decode(job.body)["timestamp"] == ENQUEUED


def test_a_crashed_dead_letter_is_replayed_alone() -> None:
    job, _ = prepared(letter(operations.identify("42"), reason="crashed"))
    assert job.max_batch == 1


@pytest.mark.parametrize("state", ["replaying", "delivered", "discarded"])
def test_only_open_dead_letters_are_replayed(state: Any) -> None:
    assert refusal(letter(operations.identify("42"), state=state)).kind == "state"


def test_a_discarded_dead_letter_is_replayed_on_request() -> None:
    job, _ = prepared(
        letter(operations.identify("42"), state="discarded"), states=frozenset({"discarded"})
    )
    assert job.replayed


LATER = Later("01J00000000000000000000000", "person.identify", NOW - 60, NOW - 50)
REMOVAL = Later("01J00000000000000000000001", "person.delete", NOW - 60, NOW - 50)


@pytest.mark.parametrize(
    ("operation", "by", "even_if_newer", "kind"),
    [
        ("person.event", Superseded(waiting=True), True, "state"),
        ("person.add_device", Superseded(job=LATER), False, "newer"),
        ("person.add_device", Superseded(job=LATER), True, None),
        ("object.identify", Superseded(job=LATER), False, "newer"),
        ("segment.add", Superseded(job=LATER), False, "newer"),
        ("form.submit", Superseded(job=LATER), False, "newer"),
        ("person.identify", Superseded(job=LATER), False, None),
        ("person.event", Superseded(job=LATER), False, None),
        ("anonymous.page", Superseded(job=LATER), False, None),
        ("person.event", Superseded(removal=REMOVAL, job=REMOVAL), False, "removed"),
        ("person.identify", Superseded(removal=REMOVAL, job=LATER), True, "removed"),
        ("person.event", Superseded(delivered=True), True, "delivered"),
    ],
)
def test_what_is_newer_stands_in_the_way_of_what_has_no_time_and_a_removal_of_everything(
    operation: str, by: Superseded, even_if_newer: bool, kind: str | None
) -> None:
    job, _ = prepared(letter(operations.identify("42")))
    why = superseded_by(job.with_(operation=operation), by, even_if_newer=even_if_newer)
    assert (why and why.kind) == kind
    if why and why.later:
        assert why.later.id in why.why
        assert why.later.operation in why.why
        assert "2027-01-15 07:59:10 UTC" in why.why


def test_what_carries_its_time_asks_only_for_removals_unless_its_history_names_the_rest() -> None:
    timed, _ = prepared(letter(operations.track("42", "bought")))
    untimed, _ = prepared(letter(operations.add_device("42", "token", "ios")))
    for policy in (ReplayPolicy(), ReplayPolicy(even_if_newer=True)):
        assert asks_newer(timed, policy) is policy.even_if_newer
        assert asks_newer(untimed, policy)


def test_an_event_happened_when_it_says_so() -> None:
    job, _ = prepared(letter(operations.track("42", "bought", timestamp=1_700_000_000)))
    assert happened_at(job) == 1_700_000_000
    job, _ = prepared(letter(operations.identify("42")))
    assert happened_at(job) is None


def test_what_customer_io_ignored_is_replayed_only_with_the_value_that_it_did_not_report() -> None:
    of = letter(operations.identify("42"), reason="ignored", field="attributes.phone")
    refused = refusal(of)
    assert refused.kind == "repair"
    assert refused.why == (
        "Customer.io did not report its attributes.phone, so it would be sent without; "
        "add it with --set attributes.phone=VALUE"
    )
    job, _ = prepared(of, repair=Patch.parse(("attributes.phone=+4915112345678",)))
    assert msgspec.json.decode(job.body)["attributes"] == {"phone": "+4915112345678"}
    prepared(letter(operations.identify("42", {"phone": "x"}), reason="ignored", field=None))
