"""``on_invalid``: what becomes of a call that Customer.io would refuse."""

import asyncio
import json
import logging
import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import msgspec
import pytest
import redis
from django.utils.functional import SimpleLazyObject, lazystr
from hypothesis import given
from hypothesis import strategies as st

import trackrelay
from trackrelay import (
    ConfigurationError,
    InvalidOperationError,
    ObjectRef,
    Person,
    Producer,
    QueueUnavailableError,
    aio,
    operations,
)
from trackrelay.operations.coercion import NOT_ENCODED
from trackrelay.operations.description import described
from trackrelay.operations.refused_operations import (
    MAX_DOCUMENT_BYTES,
    RefusedCall,
    RefusedOperation,
    decode_refused,
)
from trackrelay.operations.unacceptable import Unacceptable
from trackrelay.queue import append
from trackrelay.queue.job import decode_entry
from trackrelay.testing import capture

MINUTE = "trackrelay:invalid:*"


@pytest.fixture
def keeping(queue: redis.Redis, redis_url: str) -> Iterator[Producer]:
    """A producer that keeps what is refused; so do the module-level functions."""
    trackrelay.configure(redis_url=redis_url, on_invalid="dead_letter", source="shop")
    yield trackrelay.default.default_producer()
    trackrelay.default.default_producer().close()


class Kept:
    """An entry in the stream of refused operations."""

    def __init__(self, entry: bytes) -> None:
        (self.job,) = decode_refused(entry)
        self.call = msgspec.json.decode(self.job.body, type=RefusedCall)
        self.document: Any = json.loads(bytes(self.call.document))


def kept(queue: redis.Redis) -> list[Kept]:
    """What is in the stream of refused operations, in order."""
    return [Kept(fields[b"j"]) for _, fields in queue.xrange("trackrelay:invalid")]


def enqueued(queue: redis.Redis) -> list[str]:
    """The ids of the jobs in the queue."""
    names = [f"trackrelay:{shard}:{lane}" for shard in range(4) for lane in ("live", "bulk")]
    return [
        job.id
        for name in names
        for _, fields in queue.xrange(name)
        for job in decode_entry(fields[b"j"])
    ]


# ── raise, log ────────────────────────────────────────────────────────────────────────────────────


def test_a_refusal_raises_unless_something_else_was_asked_for(
    producer: Producer, queue: redis.Redis
) -> None:
    with pytest.raises(InvalidOperationError):
        producer.track("42", "", {})
    assert kept(queue) == []


def test_another_value_of_the_setting_is_refused() -> None:
    with pytest.raises(
        ConfigurationError, match="TRACKRELAY_ON_INVALID must be one of raise, log, dead_letter"
    ):
        Producer(backend="off", on_invalid="keep")


def test_a_logged_refusal_names_operation_field_and_reason_and_no_value(
    queue: redis.Redis, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    producer = Producer(redis_url=redis_url, on_invalid="log")
    job = producer.identify("42", {"email": "secret of ada"})
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        f"trackrelay: person.identify was refused and is not enqueued (job {job}): "
        "field attributes.email; "
        "allowed: an email address"
    )
    assert kept(queue) == []
    assert enqueued(queue) == []


def test_a_call_for_several_people_leaves_out_only_the_refused(
    queue: redis.Redis, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    producer = Producer(redis_url=redis_url, on_invalid="log")
    jobs = producer.add_to_segment(7, ["1", "", "3"])
    assert len(set(jobs)) == 3
    assert sorted(enqueued(queue)) == sorted([jobs[0], jobs[2]])
    assert jobs[1] in caplog.text


def test_people_and_objects_are_refused_where_they_are_made_and_else_by_their_call(
    keeping: Producer,
) -> None:
    assert trackrelay.identify(Person(email=""), {})
    with pytest.raises(
        InvalidOperationError, match="email of a Person is not an email address: blank"
    ):
        _ = Person(email="").key
    trackrelay.configure(on_invalid="raise")
    with pytest.raises(
        InvalidOperationError, match="email of a Person is not an email address: blank"
    ):
        Person(email="")
    with pytest.raises(InvalidOperationError):
        ObjectRef("first", "acme")


def test_an_error_can_be_copied_to_another_process_whatever_was_passed() -> None:
    with pytest.raises(InvalidOperationError) as raised:
        operations.track("42", "seen", {"lock": open})
    assert raised.value.parts
    copied = pickle.loads(pickle.dumps(raised.value))
    assert (str(copied), copied.field, copied.parts) == (str(raised.value), raised.value.field, ())


# ── dead letters ──────────────────────────────────────────────────────────────────────────────────


def test_what_is_refused_is_kept_with_the_refusal(keeping: Producer, queue: redis.Redis) -> None:
    job = trackrelay.track(
        "42", "ordered", {"id": 7, "paid_at": 1_700_000_000_000}, idempotency_key="A-1"
    )
    (entry,) = kept(queue)
    assert (entry.job.id, entry.job.operation, entry.job.source) == (job, "person.event", "shop")
    assert (entry.job.keys, entry.call.keys, entry.job.idempotency_key) == ((), ("id:42",), "A-1")
    assert entry.document == {
        "type": "person",
        "identifiers": {"id": "42"},
        "action": "event",
        "name": "ordered",
        "attributes": {"id": 7, "paid_at": 1_700_000_000_000},
    }
    with pytest.raises(InvalidOperationError) as raised:
        operations.track("42", "ordered", {"id": 7, "paid_at": 1_700_000_000_000})
    error = raised.value
    call = entry.call
    assert (call.error, call.field, call.limit, call.actual) == (
        str(error),
        error.field,
        error.limit,
        error.actual,
    )
    assert enqueued(queue) == []


@pytest.mark.parametrize(
    ("call", "operation", "field"),
    [
        (
            lambda: trackrelay.identify(Person(email=""), {"plan": "pro"}),
            "person.identify",
            "identifiers.email",
        ),
        (
            lambda: trackrelay.identify(Person(email=None), {"plan": "pro"}),
            "person.identify",
            "identifiers",
        ),
        (
            lambda: trackrelay.identify(Person(id="1", email="a@b.example"), {}),
            "person.identify",
            "identifiers",
        ),
        (lambda: trackrelay.track("joe@example.com", "seen"), "person.event", "identifiers.id"),
        (lambda: trackrelay.track(None, "seen"), "person.event", "identifiers.id"),  # type: ignore[arg-type]
        (lambda: trackrelay.merge(primary="1", secondary=""), "person.merge", "identifiers.id"),
        (
            lambda: trackrelay.identify("1", {"anonymous_id": "b"}, anonymous_id="a"),
            "person.identify",
            "attributes.anonymous_id",
        ),
        (lambda: trackrelay.identify_object("acme"), "object.identify", "identifiers"),  # type: ignore[arg-type]
        (
            lambda: trackrelay.identify_object(ObjectRef("x", "acme")),
            "object.identify",
            "identifiers.object_type_id",
        ),
        (
            lambda: trackrelay.add_relationships("1", [ObjectRef("x", "a")]),
            "person.add_relationships",
            "identifiers",
        ),
        (lambda: trackrelay.submit_form("f", "", {}), "form.submit", "identifiers.id"),
        (lambda: trackrelay.entity({"type": "person"}), "unknown", "action"),
        (lambda: trackrelay.entity(17), "unknown", "operation"),  # type: ignore[arg-type]
    ],
)
def test_whatever_is_refused_is_kept(
    keeping: Producer, queue: redis.Redis, call: Callable[[], str], operation: str, field: str
) -> None:
    job = call()
    (entry,) = kept(queue)
    assert (entry.job.id, entry.job.operation.removesuffix(".")) == (job, operation)
    assert entry.call.field.startswith(field)
    with pytest.raises(InvalidOperationError):
        operations.entity(entry.document)


def test_people_who_cannot_be_put_into_a_segment_keep_no_others_out(
    keeping: Producer, queue: redis.Redis
) -> None:
    jobs = trackrelay.add_to_segment(7, (person for person in ("1", "", "3")))
    assert sorted(enqueued(queue)) == sorted([jobs[0], jobs[2]])
    assert [entry.job.id for entry in kept(queue)] == [jobs[1]]


def test_an_event_whose_person_attributes_are_refused_is_kept_together_with_them(
    keeping: Producer, queue: redis.Redis
) -> None:
    job = trackrelay.track("42", "ordered", {"total": 5}, person_attributes={"email": "nobody"})
    identify, event = kept(queue)
    assert (identify.job.operation, event.job.operation) == ("person.identify", "person.event")
    assert event.job.id == job != identify.job.id
    assert identify.document["attributes"] == {"email": "nobody"}
    assert event.document["attributes"] == {"total": 5}
    assert enqueued(queue) == []


def test_refused_operations_of_a_pipeline_go_with_the_others_or_not_at_all(
    keeping: Producer, queue: redis.Redis
) -> None:
    def fail() -> None:
        with trackrelay.pipeline() as pipeline:
            pipeline.track("42", "")
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert kept(queue) == []
    with trackrelay.pipeline() as pipeline:
        refused = pipeline.track("42", "")
        good = pipeline.track("42", "seen")
    assert [entry.job.id for entry in kept(queue)] == [refused]
    assert enqueued(queue) == [good]


def documents() -> list[dict[str, Any]]:
    people = ["1", "", "3"]
    return [
        {"type": "person", "action": "identify", "identifiers": {"id": person}} for person in people
    ]


def test_many_are_kept_as_the_setting_or_the_call_says(
    keeping: Producer, queue: redis.Redis
) -> None:
    assert trackrelay.enqueue_many(map(operations.entity, documents())) == 3
    assert (len(enqueued(queue)), len(kept(queue))) == (2, 1)
    with pytest.raises(InvalidOperationError):
        trackrelay.enqueue_many(map(operations.entity, documents()), on_invalid="raise")
    assert len(kept(queue)) == 1
    refused: list[int] = []
    taken = trackrelay.enqueue_many(
        map(operations.entity, documents()), on_invalid=lambda at, _: refused.append(at)
    )
    assert (taken, refused, len(kept(queue))) == (2, [1], 1)


def test_many_of_a_generator_are_kept_until_it_is_ended(
    keeping: Producer, queue: redis.Redis
) -> None:
    with pytest.raises(InvalidOperationError, match="inside a generator"):
        trackrelay.enqueue_many(operations.entity(document) for document in documents())
    assert (len(enqueued(queue)), len(kept(queue))) == (1, 1)


def test_coroutines_keep_them_too(keeping: Producer, queue: redis.Redis) -> None:
    async def calls() -> list[str]:
        jobs = [await aio.track("42", "")]
        jobs += (await aio.add_to_segment(7, ["1", ""]))[1:]
        async with aio.pipeline() as pipeline:
            jobs.append(pipeline.identify("", {}))
        assert await aio.enqueue_many(map(operations.entity, documents())) == 3
        await aio.aclose()
        return jobs

    jobs = asyncio.run(calls())
    assert [entry.job.id for entry in kept(queue)][:3] == jobs
    assert len(kept(queue)) == 4


def test_a_separate_producer_keeps_them_too(queue: redis.Redis, redis_url: str) -> None:
    producer = Producer(redis_url=redis_url, on_invalid="dead_letter")
    job = producer.identify(Person(email=""), {})
    assert [entry.job.id for entry in kept(queue)] == [job]
    producer.close()


def test_a_call_that_is_repeated_under_its_key_is_one_dead_letter_and_no_valid_call_s_id(
    keeping: Producer,
) -> None:
    with capture() as captured:
        trackrelay.configure(on_invalid="dead_letter")
        first = trackrelay.track("42", "ordered", {"at": float("nan")}, idempotency_key="A-1")
        assert (
            trackrelay.track("42", "ordered", {"at": float("inf")}, idempotency_key="A-1") == first
        )
        other = trackrelay.track("43", "ordered", {"at": float("nan")}, idempotency_key="A-1")
        valid = trackrelay.track("42", "ordered", {"at": 5}, idempotency_key="A-1")
    assert len({first, other, valid}) == 3
    assert [each.id for each in captured] == [valid]


def test_when_the_queue_is_away_the_error_has_what_can_be_enqueued_later(
    queue: redis.Redis, redis_url: str
) -> None:
    away = Producer(
        redis_url="redis://127.0.0.1:1/0", on_invalid="dead_letter", enqueue_timeout=0.2
    )
    with pytest.raises(QueueUnavailableError) as raised:
        away.track("42", "")
    operation = raised.value.operation
    assert isinstance(operation, RefusedOperation)
    Producer(redis_url=redis_url).enqueue(operation)
    assert [entry.job.id for entry in kept(queue)] == [operation.id]


def test_when_the_queue_is_away_it_is_logged_if_that_is_what_on_unavailable_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = Producer(
        redis_url="redis://127.0.0.1:1/0",
        on_invalid="dead_letter",
        on_unavailable="log",
        enqueue_timeout=0.2,
    )
    job = away.track("42", "", {"secret": "value"})
    assert f"job {job} was not enqueued" in caplog.text
    assert "value" not in caplog.text


@pytest.mark.parametrize("limit", ["in a minute", "waiting for a worker"])
def test_beyond_the_limits_they_are_only_logged(
    keeping: Producer, queue: redis.Redis, caplog: pytest.LogCaptureFixture, limit: str
) -> None:
    if limit == "in a minute":
        (seconds, _) = queue.time()
        for minute in (seconds // 60, seconds // 60 + 1):
            queue.set(f"trackrelay:invalid:{minute}", append.MAX_INVALID_A_MINUTE - 1)
    else:
        for _ in range(append.MAX_INVALID - 1):
            queue.xadd("trackrelay:invalid", {"v": 1, "j": "[]"})
    before = queue.xlen("trackrelay:invalid")
    with trackrelay.pipeline() as pipeline:
        jobs = [pipeline.track("42", "") for _ in range(3)]
        good = pipeline.track("42", "seen")
    after = queue.xlen("trackrelay:invalid")
    assert after == before + 1
    assert [job for job in jobs if job in caplog.text] == jobs[1:]
    assert enqueued(queue) == [good]


@pytest.mark.parametrize("backend", ["memory", "console", "off"])
def test_where_nothing_is_enqueued_nothing_is_kept(
    backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    producer = Producer(backend=backend, on_invalid="dead_letter")
    job = producer.track("42", "")
    producer.track("42", "seen")
    if backend == "memory":
        memory: Any = producer.backend
        assert [operation.id for operation in memory.refused] == [job]
        assert len(memory.operations) == 1
    elif backend == "console":
        assert capsys.readouterr().err.startswith("trackrelay: refused: ")


# ── what cannot be encoded ────────────────────────────────────────────────────────────────────────


class Hostile:
    """A value that can be nothing but described."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


def circular() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "described_as"),
    [
        (b"1234", {NOT_ENCODED: "4 bytes"}),
        (float("nan"), {NOT_ENCODED: "the number nan"}),
        (2**70, {NOT_ENCODED: "an integer of 71 bits", "text": str(2**70)}),
        (10**10_000, {NOT_ENCODED: "an integer of 33,220 bits"}),
        (datetime(2026, 5, 1, 12), "a naive datetime"),
        (Hostile(), "a Hostile"),
        (open, "a builtin_function_or_method"),
        (circular(), "nested too deep"),
        ({"x" * 10_000: 1}, "x" * 500),
        ("\ud800", "text with half a surrogate pair in it"),
        ("x" * 1_000_000, "text of 1,000,000 characters, too many to be kept"),
        (range(10**15), "no room"),
        (lazystr("Ada"), "Ada"),
        (lazystr("\ud800"), "text with half a surrogate pair in it"),
        (SimpleLazyObject(lambda: "x" * 1_000_000), "text of 1,000,000 characters"),
        ({5, 6}, [5, 6]),
        (Decimal("12.50"), 12.5),
        (UUID(int=7), str(UUID(int=7))),
        (datetime(2026, 5, 1, tzinfo=UTC), 1_777_593_600),
        (Fraction(1, 2), 0.5),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:20],
)
def test_what_json_cannot_say_is_described(
    keeping: Producer, queue: redis.Redis, value: object, described_as: object
) -> None:
    trackrelay.track("42", "ordered", {"value": value, "wrong": float("nan"), "total": 5})
    (entry,) = kept(queue)
    found = entry.document["attributes"]["value"]
    if isinstance(described_as, str) and not isinstance(value, UUID):
        assert described_as in json.dumps(found)
    else:
        assert found == described_as
    assert len(entry.job.body) < 2 * MAX_DOCUMENT_BYTES


def test_the_largest_event_is_kept_whole(keeping: Producer, queue: redis.Redis) -> None:
    data = {f"item {number}": ["x" * 500, number, None] for number in range(190)}
    trackrelay.track("42", "ordered", data, timestamp="yesterday")  # type: ignore[arg-type]
    (entry,) = kept(queue)
    assert entry.document["attributes"] == data


@pytest.mark.parametrize(
    "value",
    [
        {"a": ["x" * 1_000_000] * 99_000},
        [b""] * 1_000_000,
        {str(number): Hostile() for number in range(100_000)},
        [[[[]] * 1000] * 1000] * 1000,
        "\x01" * 120_000,
        {"\x01" * 400 + str(number): "\x02" * 300 for number in range(1_000)},
        {"\x01" * 300: Unacceptable("\x01" * 100_000, InvalidOperationError("\x01" * 1_000))},
    ],
    ids=["long texts", "bytes", "objects", "empty lists", "controls", "names", "refused"],
)
def test_what_is_kept_is_bounded(value: object) -> None:
    assert len(described({"attributes": value}, MAX_DOCUMENT_BYTES)) < 1.6 * MAX_DOCUMENT_BYTES


BASES: list[dict[str, Any]] = [
    {
        "type": "person",
        "action": "identify",
        "identifiers": {"id": "42"},
        "attributes": {"plan": "pro", "nested": {"a": [1]}},
        "timestamp": 1_700_000_000,
        "cio_relationships": [{"identifiers": {"object_type_id": "1", "object_id": "acme"}}],
    },
    {
        "type": "person",
        "action": "event",
        "identifiers": {"id": "42"},
        "name": "seen",
        "attributes": {"a": {"b": [1, {"c": 2}]}},
    },
    {
        "type": "person",
        "action": "add_device",
        "identifiers": {"id": "42"},
        "device": {"token": "t", "platform": "ios", "attributes": {"a": "b"}},
    },
    {
        "type": "form",
        "action": "submit",
        "identifiers": {"form_id": "f"},
        "person": {"id": "1"},
        "attributes": {"a": "b"},
    },
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict | list):
        for name, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(member, (*path, name))


@given(data=st.data())
def test_a_description_is_refused_wherever_it_stands(data: st.DataObject) -> None:
    document = json.loads(json.dumps(data.draw(st.sampled_from(BASES))))
    operations.entity(document)
    path = data.draw(st.sampled_from(list(places(document))))
    holder: Any = document
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = {NOT_ENCODED: "4 bytes"}
    with pytest.raises(InvalidOperationError):
        operations.entity(document)
