"""``on_invalid``: what becomes of a call that Customer.io would refuse."""

import asyncio
import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import redis

import trackrelay
from tests.support.kept_calls import kept
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
from trackrelay.operations.refused_operations import RefusedOperation
from trackrelay.queue import append
from trackrelay.queue.job import decode_entry
from trackrelay.testing import capture

MINUTE = "trackrelay:invalid:*"


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
