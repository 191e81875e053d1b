"""``on_invalid``: what becomes of calls that the drop-in refuses, and of what ``batch`` drops."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

import trackrelay
from trackrelay.customerio import CustomerIO, CustomerIOException, enqueue_through
from trackrelay.queue.job import decode_entry

GOOD = {"type": "person", "identifiers": {"id": "5"}, "action": "event", "name": "seen"}
BAD = GOOD | {"name": " "}
COUNTS = "trackrelay:calls:refused:*"


@pytest.fixture
def client(redis_url: str, queue: redis.Redis) -> Iterator[Callable[[str], CustomerIO]]:
    """Return a function that makes clients of a real queue with an ``on_invalid``."""

    def made(on_invalid: str) -> CustomerIO:
        trackrelay.configure(redis_url=redis_url, on_invalid=on_invalid, source="shop")
        return CustomerIO("site", "key")

    yield made
    # What is counted in this process belongs to this test.
    trackrelay.default.default_producer().counts.flush()
    trackrelay.default.default_producer().close()


def kept(queue: redis.Redis) -> dict[str, Any]:
    """The documents in the stream of refused operations, by the ids of their dead letters."""
    jobs = [
        job for _, fields in queue.xrange("trackrelay:invalid") for job in json.loads(fields[b"j"])
    ]
    return {job["id"]: job["body"]["document"] for job in jobs}


def enqueued(queue: redis.Redis) -> list[str]:
    """The ids of the jobs in the queue."""
    names = [f"trackrelay:{shard}:live" for shard in range(4)]
    return [
        job.id
        for name in names
        for _, fields in queue.xrange(name)
        for job in decode_entry(fields[b"j"])
    ]


def counted(queue: redis.Redis) -> dict[tuple[str, ...], int]:
    """How many refusals were counted, by source, operation and field."""
    assert trackrelay.default.default_producer().counts.flush()
    return {
        tuple(json.loads(field)): int(count)
        for key in queue.scan_iter(COUNTS)
        for field, count in queue.hgetall(key).items()
    }


def test_what_a_batch_drops_is_in_the_answer_and_counted(
    client: Callable[[str], CustomerIO], queue: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client("raise").batch([BAD, GOOD, GOOD | {"identifiers": {"email": "secret@"}}])
    assert (answer.status_code, [error["batch_index"] for error in answer.errors]) == (207, [0, 2])
    assert list(answer.job_ids) == enqueued(queue)
    assert kept(queue) == {}
    assert counted(queue) == {
        ("shop", "person.event", "name"): 1,
        ("shop", "person.event", "identifiers.email"): 1,
    }
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert (
        lines[0]
        == "trackrelay: operation 0 of a batch was refused and is not enqueued: field name; "
        "allowed: not blank"
    )
    assert "secret" not in caplog.text


def test_what_a_batch_drops_is_kept_if_the_setting_says_so(
    client: Callable[[str], CustomerIO], queue: redis.Redis
) -> None:
    answer = client("dead_letter").batch([BAD, GOOD])
    assert (answer.status_code, len(answer.errors), len(answer.job_ids)) == (207, 1, 2)
    assert kept(queue) == {answer.job_ids[0]: BAD}
    assert enqueued(queue) == [answer.job_ids[1]]


def test_what_a_batch_drops_is_logged_with_its_id_if_the_setting_says_so(
    client: Callable[[str], CustomerIO], queue: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client("log").batch([BAD, GOOD])
    assert (answer.status_code, list(answer.job_ids)) == (207, enqueued(queue))
    (line,) = [
        record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING
    ]
    assert line.startswith("trackrelay: person.event was refused and is not enqueued (job ")


CALLS: list[Callable[[CustomerIO], Any]] = [
    lambda cio: cio.identify("5", bio="x" * 1_500),
    lambda cio: cio.track("5", " "),
    lambda cio: cio.entity(BAD),
    lambda cio: cio.merge_customers("id", "1", "id", "1"),
    lambda cio: cio.identify("5", cio_relationships="none"),
    lambda cio: cio.send_request("POST", f"{cio.base_url}/forms/f/submit", {"data": "none"}),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_refused_call_raises_or_is_logged_or_kept_and_counted_in_any_case(
    client: Callable[[str], CustomerIO], queue: redis.Redis, call: Callable[[CustomerIO], Any]
) -> None:
    with pytest.raises(CustomerIOException):
        call(client("raise"))
    assert sum(counted(queue).values()) == 1
    assert (kept(queue), len(call(client("log")).job_ids)) == ({}, 1)
    assert sum(counted(queue).values()) == 2
    answer = call(client("dead_letter"))
    assert (answer.status_code, list(answer.job_ids)) == (200, list(kept(queue)))
    assert len(answer.job_ids) == 1
    assert sum(counted(queue).values()) == 3
    assert enqueued(queue) == []


def test_who_cannot_be_put_into_a_segment_keeps_nobody_else_out(
    client: Callable[[str], CustomerIO], queue: redis.Redis
) -> None:
    cio = client("dead_letter")
    answer = cio.send_request(
        "POST", f"{cio.base_url}/segments/7/add_customers", {"ids": ["1", "x" * 151, "2"]}
    )
    assert len(answer.job_ids) == 3
    assert sorted(enqueued(queue)) == sorted([answer.job_ids[0], answer.job_ids[2]])
    (document,) = kept(queue).values()
    assert document["person"] == {"id": "x" * 151}


def test_another_target_decides_for_itself(
    client: Callable[[str], CustomerIO], queue: redis.Redis
) -> None:
    cio, other = client("raise"), trackrelay.Producer(backend="memory", on_invalid="dead_letter")
    enqueue_through(lambda: other)
    try:
        assert len(cio.track("5", " ").job_ids) == 1
    finally:
        enqueue_through(None)
    with pytest.raises(CustomerIOException):
        cio.track("5", " ")
    assert kept(queue) == {}
