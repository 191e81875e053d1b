"""Hostile bytes in the streams, in the worker's Celery queue, and in answers to requests."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import redis

from trackrelay.operations.ids import new_id
from trackrelay.queue.redis_keys import QUEUE_KEY, stream

from . import api_faults, hostile_front, marks
from .calls import Call
from .plans import StackPlan, TrafficPlan
from .scenario import Trial, scenario
from .stores import Stores

FRONT = StackPlan(hostile_front=True)
#: What the hostile jobs would leave at Customer.io if one of them got there.
HOSTILE = "hostile"
#: Headers of a request that carries nothing it was given, in bytes.
MOST_HEADERS = 2_000
#: In the queue of Celery's `deliver` tasks; nothing of it is a message.
MALFORMED: tuple[bytes, ...] = (
    b"",
    b"\x00\xff\xfe not JSON",
    b"[]",
    b"null",
    b"{}",
    b'"text"',
    b'{"body": 5, "headers": [], "properties": null}',
    b'{"body": "!!!", "content-encoding": "utf-8", "content-type": "application/json",'
    b' "headers": {"task": "trackrelay.deliver", "id": "x"},'
    b' "properties": {"body_encoding": "base64", "delivery_tag": "x", "delivery_info": {}}}',
    b'{"body": "W1tdLCB7fSwge31d", "content-encoding": "utf-8",'
    b' "content-type": "application/x-python-serialize",'
    b' "headers": {"task": "trackrelay.deliver", "id": "x"},'
    b' "properties": {"body_encoding": "base64", "delivery_tag": "x", "delivery_info": {}}}',
    b'{"body": "W1tdLCB7fSwge31d", "content-encoding": "utf-8", "content-type": "application/json",'
    b' "headers": {"task": "somebody.elses", "id": "x"},'
    b' "properties": {"body_encoding": "base64", "delivery_tag": "x", "delivery_info": {}}}',
    b"[" * 100_000,
)


def _job(**changes: Any) -> bytes:
    """An entry of one job, an event of an arbitrary person."""
    job = {
        "id": new_id(),
        "operation": "person.event",
        "keys": [f"id:{HOSTILE}"],
        "body": {
            "type": "person",
            "identifiers": {"id": HOSTILE},
            "action": "event",
            "name": HOSTILE,
            "attributes": {"n": HOSTILE},
        },
    }
    return json.dumps([job | changes]).encode()


def _with_body(operation: str, body: bytes) -> bytes:
    marker = json.dumps("the body").encode()
    return _job(operation=operation, body="the body").replace(marker, body)


def _entries(trial: Trial) -> Iterator[dict[bytes, bytes]]:
    """Append hostile entries, all kinds in turn.

    Each must end as one row of the ledger or as one dead letter.
    """
    nested = b'{"a":' * 900 + b"1" + b"}" * 900
    while True:
        text = "".join(trial.chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=20_000))
        yield {b"v": b"9" * 4_300, b"j": _job()}
        yield {b"v": b"0" * 4_300 + b"x", b"j": _job()}
        for body in (b"null", b"1", b"[]", b'"text"', b"1e400", b"[" * 100_000, nested):
            yield {b"v": b"1", b"j": _with_body("anonymous.event", body)}
            yield {b"v": b"1", b"j": _with_body("person.event", body)}
        for body in (b"null", b'{"person": 5, "action": "add"}', b"[1]"):
            yield {b"v": b"1", b"j": _with_body("segment.add", body)}
            yield {b"v": b"1", b"j": _with_body("form.submit", body)}
        for keys in ([f"id:{text[:3_000]}"], [f"id:{text}"], ["id:\0"], [""], [], [5]):
            yield {b"v": b"1", b"j": _job(keys=keys)}
        yield {b"v": b"1", b"j": _job(keys=["id:a"]).replace(b"id:a", b"id:\\ud800")}
        yield {b"v": b"1", b"j": _job(accepted_ms=2**70)}
        yield {b"v": b"1", b"j": _job(operation="a\0b")}
        yield {b"v": b"1", b"j": _job(operation=text)}
        yield {b"v": b"1", b"j": _job(idempotency_key=text)}
        for count in (b"inf", b"-inf", b"nan", b"1e400", b"9" * 400, b"-5"):
            yield {b"v": b"1", b"n": count, b"j": b"\xff"}


@scenario(
    "job-hostile-entries",
    "entries made to halt a shard, between healthy ones",
    ambiguous=False,
    seconds=30.0,
    jobs=6_000,
    bound_s=120.0,
)
def _hostile_entries(trial: Trial) -> None:
    trial.strangers.add(marks.numbered(HOSTILE))
    entries = _entries(trial)

    def add(trial: Trial) -> None:
        shard, lane = (
            trial.chance.randrange(trial.stack.plan.shards),
            trial.chance.choice(("live", "bulk")),
        )
        trial.stack.redis.xadd(stream(shard, lane), dict(next(entries)))  # type: ignore[arg-type]

    trial.repeat(add, 0.2, 0.6)

    def each_ended(stores: Stores, calls: Sequence[Call]) -> list[str]:
        ours = {call.id for call in calls}
        ended = len(stores.dead.keys() - ours) + len(stores.ledger.keys() - ours)
        if ended == trial.injected:
            return []
        return [f"{trial.injected} hostile entries became {ended} dead letters and deliveries"]

    trial.checks.append(each_ended)


@scenario(
    "job-malformed-messages",
    "malformed messages in the workers' Celery queue",
    ambiguous=False,
    seconds=20.0,
    jobs=4_000,
)
def _malformed_messages(trial: Trial) -> None:
    restarts = trial.stack.fleet.restarts

    def send(trial: Trial) -> None:
        with contextlib.suppress(redis.RedisError):
            trial.stack.redis.lpush(QUEUE_KEY, MALFORMED[trial.injected % len(MALFORMED)])

    trial.repeat(send, 0.3, 1.0)

    def no_worker_ended(_: Stores, __: Sequence[Call]) -> list[str]:
        ended = trial.stack.fleet.restarts - restarts
        return [f"malformed messages ended a worker {ended} times"] if ended else []

    trial.checks.append(no_worker_ended)


@scenario(
    "api-hostile",
    "answers made to break their reader: deep brackets, endless bodies and headers, garbage, "
    "cookies, control characters",
    ambiguous=False,
    stack=FRONT,
    seconds=40.0,
    jobs=6_000,
    bound_s=120.0,
)
def _hostile(trial: Trial) -> None:
    front = trial.stack.front
    assert front
    ways = (
        hostile_front.deep_brackets,
        hostile_front.garbage,
        hostile_front.endless_body,
        hostile_front.endless_headers,
        hostile_front.cookies,
        hostile_front.control_characters,
        hostile_front.numbers_too_large,
    )
    number = 0
    while trial.goes_on():
        front.attack(ways[number % len(ways)], rate=0.5)
        time.sleep(trial.chance.uniform(1.0, 3.0))
        front.behave()
        number += 1
        trial.pause(1.0, 3.0)
    trial.injected += front.struck

    def nothing_is_carried_along(_: Stores, __: Sequence[Call]) -> list[str]:
        longest = front.longest_headers
        return [f"a request had {longest:,} bytes of headers"] if longest > MOST_HEADERS else []

    trial.checks.append(nothing_is_carried_along)


@scenario(
    "api-207-words",
    "207 with two errors for one operation, and 207 with none",
    ambiguous=False,
    stack=FRONT,
    traffic=TrafficPlan(mix="poisoned"),
    seconds=20.0,
    api=({"kind": "reject", "match": api_faults.POISON, "message": "no poison"},),
)
def _words(trial: Trial) -> None:
    front = trial.stack.front
    assert front
    while trial.goes_on():
        front.attack(hostile_front.doubled_errors)
        trial.pause(3.0, 5.0)
        front.attack(hostile_front.empty_errors)
        trial.pause(1.0, 2.0)
    # To the end: a poison job that is tried again must still find an answer that names it twice.
    front.attack(hostile_front.doubled_errors)
    trial.injected += front.struck
    trial.checks.append(_refused_and_not_given_up)


def _refused_and_not_given_up(stores: Stores, calls: Sequence[Call]) -> list[str]:
    poison = [
        stores.dead[call.id].reason
        for call in calls
        if call.fate == "dead" and call.id in stores.dead
    ]
    other = [reason for reason in poison if reason != "rejected"]
    return (
        [f"{len(other)} of {len(poison)} refused jobs are dead letters of reason {other[0]}"]
        if other
        else []
    )


@scenario(
    "api-long-wait",
    "a proxy's error page asks for a day's patience: minutes at most",
    ambiguous=False,
    stack=FRONT,
    seconds=10.0,
    jobs=2_000,
    bound_s=330.0,
)
def _long_wait(trial: Trial) -> None:
    front = trial.stack.front
    assert front
    front.attack(hostile_front.long_wait)
    trial.pause(1e9)
    trial.injected += front.struck
    front.behave()
