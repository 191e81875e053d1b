"""What a delivered job leaves to be compared, and what later jobs make of it."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackrelay import ObjectRef, Person, operations
from trackrelay.operations.operation import Operation
from trackrelay.worker.delivery.entry_decoder import add_timestamp
from trackrelay.worker.quality.sent_items import (
    MAX_EVENTS,
    MAX_ITEMS,
    Recorder,
    updated,
)
from trackrelay.worker.quality.sent_memory import selector
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.sent_subjects import Subject
from trackrelay.worker.storage.stored_job import Job

HASHER = KeyHasher(b"secret")
NOW = 1_800_000_000.0
AFTER_S = 120.0
ULID = "01HB4HBDKTFWYZCK01DMRSWRFD"


def recorder(share: float = 1.0) -> Recorder:
    return Recorder(HASHER.digest, HASHER.stored, selector(share))


def job_of(operation: Operation, at: float = NOW) -> Job:
    """The job of an operation that was enqueued a second before ``at``."""
    body = add_timestamp(operation.body, int(at - 1)) if operation.stamp else operation.body
    return Job(
        id=operation.id,
        operation=operation.name,
        keys=tuple(HASHER.stored(key) for key in operation.keys),
        shards=(0,) * len(operation.keys),
        body=body,
        lane="live",
        enqueued_at=at - 1,
        age_from=at - 1,
    )


def remembered(*jobs: Job | Operation, now: float = NOW) -> dict[str, Subject]:
    """What is remembered after these jobs were delivered, one settlement for each."""
    subjects: dict[str, Subject] = {}
    for index, each in enumerate(jobs):
        at = now + index
        job = job_of(each, at) if isinstance(each, Operation) else each
        updated(subjects, recorder().changes([job], at), AFTER_S)
    return subjects


def names(subject: Subject) -> set[str]:
    return set(subject.items)


def test_an_identify_leaves_the_person_and_each_attribute_without_a_value() -> None:
    operation = operations.identify("42", {"plan": "canary-plan", "age": 7, "city": None})
    (subject,) = remembered(operation).values()
    assert (subject.key, subject.address) == ("id:42", {"id": "42"})
    assert {name: str(item.tag) for name, item in subject.items.items()} == {
        "exists": "present",
        "attribute:plan": "text",
        "attribute:age": "number",
        "attribute:city": "empty",
    }
    assert {item.job for item in subject.items.values()} == {operation.id}
    assert subject.due_at == NOW + AFTER_S
    assert b"canary-plan" not in msgspec.json.encode(subject)


def test_a_private_key_is_stored_as_its_hash_and_the_address_in_the_clear() -> None:
    (subject,) = remembered(operations.identify(Person(email="ada@example.com"), {"a": 1})).values()
    assert subject.key == HASHER.stored("email:ada@example.com")
    assert subject.address == {"email": "ada@example.com"}


def test_equal_values_of_two_people_have_different_digests() -> None:
    subjects = remembered(
        operations.identify("1", {"a": "x"}), operations.identify("2", {"a": "x"})
    )
    first, second = (subject.items["attribute:a"].digest for subject in subjects.values())
    assert first != second


def test_an_update_of_a_person_who_may_not_exist_does_not_say_that_the_person_exists() -> None:
    (subject,) = remembered(operations.identify("42", {"plan": "x"}, update_only=True)).values()
    assert names(subject) == {"attribute:plan"}


def test_names_with_a_meaning_of_their_own_are_no_attributes() -> None:
    operation = operations.identify("42", {"plan": "x"}, anonymous_id="a-1", update_only=True)
    (subject,) = remembered(operation).values()
    assert names(subject) == {"attribute:plan"}


def test_each_topic_that_was_sent_is_an_item() -> None:
    preferences = {"topics": {"topic_1": True, "topic_2": False}}
    operation = operations.identify("42", {"cio_subscription_preferences": preferences})
    (subject,) = remembered(operation).values()
    assert names(subject) == {
        "exists",
        "attribute:cio_subscription_preferences.topics.topic_1",
        "attribute:cio_subscription_preferences.topics.topic_2",
    }
    dotted = operations.identify("42", {"cio_subscription_preferences.topics.topic_1": True})
    (other,) = remembered(dotted).values()
    item = "attribute:cio_subscription_preferences.topics.topic_1"
    assert other.items[item].digest == subject.items[item].digest


def test_an_event_is_known_by_its_name_and_its_id() -> None:
    event = operations.track("42", "order: placed")
    (subject,) = remembered(event).values()
    assert names(subject) == {"exists", f"event:order: placed:{event.id}"}


@pytest.mark.parametrize(
    ("operation", "item", "tag"),
    [
        (operations.add_relationships("42", ObjectRef(1, "acme")), "relationship:object:1:acme",
            "present"),
        (operations.delete_relationships("42", ObjectRef(1, "acme")), "relationship:object:1:acme",
            "removed"),
        (operations.add_to_segment(7, ["42"])[0], "segment:7", "present"),
        (operations.remove_from_segment(7, ["42"])[0], "segment:7", "removed"),
        (operations.delete_person("42"), "absent", "person.delete"),
        (operations.suppress("42"), "absent", "person.suppress"),
    ],
)  # fmt: skip
def test_other_operations_leave_one_item(operation: Operation, item: str, tag: str) -> None:
    (subject,) = remembered(operation).values()
    assert subject.items[item].tag == tag


def test_a_device_is_remembered_without_its_token() -> None:
    (subject,) = remembered(operations.add_device("42", "canary-token", "ios")).values()
    assert any(name.startswith("device:") for name in subject.items)
    assert b"canary-token" not in msgspec.json.encode(subject)


def test_an_object_is_remembered_with_the_people_it_belongs_to() -> None:
    operation = operations.identify_object(
        ObjectRef(1, "acme"), {"plan": "x"}, relationships=[Person(email="ada@example.com")]
    )
    (subject,) = remembered(operation).values()
    assert subject.address == {"object_type_id": "1", "object_id": "acme"}
    related = "relationship:" + HASHER.stored("email:ada@example.com")
    assert names(subject) == {"exists", "attribute:plan", related}


@pytest.mark.parametrize(
    "operation",
    [
        operations.track_anonymous("a-1", "seen"),
        operations.submit_form("f", "42", {"a": 1}),
        operations.report_metric("d-1", "opened"),
    ],
)
def test_what_the_app_api_cannot_show_is_not_remembered(operation: Operation) -> None:
    assert remembered(operation) == {}


def test_the_later_of_two_writes_counts() -> None:
    early, late = operations.identify("42", {"plan": "a"}), operations.identify("42", {"plan": "b"})
    subject = remembered(early, late)["id:42"]
    assert subject.items["attribute:plan"].job == late.id


def test_the_last_of_several_jobs_of_one_settlement_counts() -> None:
    jobs = [job_of(operations.identify("42", {"plan": str(number)})) for number in range(5)]
    subjects: dict[str, Subject] = {}
    updated(subjects, recorder().changes(jobs, NOW), AFTER_S)
    assert subjects["id:42"].items["attribute:plan"].job == jobs[-1].id


def test_a_late_replay_does_not_replace_what_is_newer() -> None:
    newer = operations.identify("42", {"plan": "new"}, timestamp=int(NOW))
    replayed = operations.identify("42", {"plan": "old", "city": "x"}, timestamp=int(NOW) - 60)
    subject = remembered(newer, replayed)["id:42"]
    assert subject.items["attribute:plan"].job == newer.id
    assert subject.items["attribute:city"].job == replayed.id


def test_a_removal_clears_the_memory_and_a_later_write_starts_over() -> None:
    identify, gone = operations.identify("42", {"plan": "x"}), operations.delete_person("42")
    assert names(remembered(identify, gone)["id:42"]) == {"absent"}
    event = operations.track("42", "back")
    again = remembered(identify, gone, event)["id:42"]
    assert names(again) == {"exists", f"event:back:{event.id}"}


def test_a_person_who_is_no_longer_suppressed_has_nothing_to_compare() -> None:
    subjects = remembered(operations.suppress("42"), operations.unsuppress("42"))
    assert subjects["id:42"].items == {}


def test_a_merge_moves_the_events_and_expects_the_secondary_to_be_gone() -> None:
    event = operations.track("2", "order_placed")
    subjects = remembered(
        operations.identify("1", {"plan": "a"}),
        operations.identify("2", {"plan": "b"}),
        event,
        operations.merge(primary="1", secondary="2"),
    )
    assert names(subjects["id:1"]) == {"exists", "attribute:plan", f"event:order_placed:{event.id}"}
    assert names(subjects["id:2"]) == {"merge"}
    assert subjects["id:2"].address == {"id": "2", "into": {"id": "1"}}


def test_only_subjects_of_the_sample_are_remembered() -> None:
    some = recorder(0.1)
    jobs = [job_of(operations.identify(f"p{number}", {"a": 1})) for number in range(2_000)]
    found = some.changes(jobs, NOW)
    assert 100 < len(found) < 300
    assert [change.key for change in some.changes(jobs, NOW)] == [change.key for change in found]


def test_a_person_has_a_bounded_number_of_items() -> None:
    jobs = [
        job_of(operations.identify("42", {f"a{batch}_{number}": 1 for number in range(250)}))
        for batch in range(3)
    ]
    jobs += [job_of(operations.track("42", f"e{number}")) for number in range(50)]
    subjects: dict[str, Subject] = {}
    for index, job in enumerate(jobs):
        updated(subjects, recorder().changes([job], NOW + index), AFTER_S)
    items = subjects["id:42"].items
    events = [name for name in items if name.startswith("event:")]
    assert len(items) <= MAX_ITEMS
    assert len(events) == MAX_EVENTS
    assert events[-1].startswith("event:e49:")


def test_an_item_that_is_due_is_not_put_off_by_later_writes() -> None:
    writes = [operations.identify("42", {"plan": str(number)}) for number in range(100)]
    assert remembered(*writes)["id:42"].due_at == NOW + AFTER_S


def test_what_comes_back_from_the_store_is_what_went_into_it() -> None:
    (subject,) = remembered(operations.identify("42", {"plan": "x"})).values()
    assert msgspec.json.decode(msgspec.json.encode(subject), type=Subject) == subject


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["identifiers", "attributes", "cio_relationships", "name", "device",
                "token",
                         "person", "primary", "secondary", "id", "email", "object_id", "type",
                         "action", "timestamp", "segment_id"]) | st.text(), inner),
    max_leaves=12,
)  # fmt: skip
OPERATIONS = ["person.identify", "person.event", "person.merge", "person.add_device",
              "object.identify", "segment.add", "person.add_relationships", "person.delete",
              "unknown"]  # fmt: skip


@given(st.sampled_from(OPERATIONS), DOCUMENTS)
def test_no_document_breaks_a_settlement(operation: str, document: Any) -> None:
    job = Job(
        id=ULID, operation=operation, keys=("id:1", "id:2"), shards=(0, 0),
        body=json.dumps(document).encode(), lane="live", enqueued_at=NOW, age_from=NOW,
    )  # fmt: skip
    subjects: dict[str, Subject] = {}
    updated(subjects, recorder().changes([job], NOW), AFTER_S)
    msgspec.json.encode(subjects)


@pytest.mark.parametrize("body", [b"", b"null", b"\xff", b"[" * 100_000, b'{"a": ' + b"9" * 5000])
def test_bytes_that_are_no_document_leave_nothing(body: bytes) -> None:
    job = job_of(operations.identify("42", {"a": 1})).with_(body=body)
    assert remembered(job) == {}
