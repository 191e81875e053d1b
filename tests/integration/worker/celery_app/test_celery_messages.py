"""A foreign message in our Celery queue is dropped with one log line, and the worker goes on."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.harness import Harness
from tests.support.waiting import wait_until
from trackrelay.queue.append import deliver_message
from trackrelay.queue.redis_keys import QUEUE_KEY
from trackrelay.worker.celery_app import celery_messages
from trackrelay.worker.celery_app.celery_messages import NotOursError, checked

SECRET = "something-private"


def message(**changes: Any) -> dict[str, Any]:
    """Return a message as our script writes it, with some headers and properties changed.

    A header or property whose value is None is left out.
    """
    made: dict[str, Any] = json.loads(deliver_message(0).replace("@", "some-id"))
    for name, value in changes.items():
        if name in ("headers", "properties") and isinstance(value, dict):
            made[name] = {
                key: each for key, each in (made[name] | value).items() if each != "left out"
            }
        elif value == "left out":
            del made[name]
        else:
            made[name] = value
    return made


def encoded(body: Any) -> str:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return base64.b64encode(raw).decode()


MALFORMED: dict[str, Any] = {
    "a list": [],
    "null": None,
    "a number": 5,
    "an empty object": {},
    "no headers": message(headers="left out"),
    "headers null": message(headers=None),
    "headers a list": message(headers=[1]),
    "no properties": message(properties="left out"),
    "properties a text": message(properties=SECRET),
    "no task": message(headers={"task": "left out"}),
    "unknown task": message(headers={"task": "shop.tasks.charge"}),
    "task of a megabyte": message(headers={"task": "x" * 1_000_000}),
    "task a list": message(headers={"task": [[]]}),
    "task of Celery's": message(headers={"task": "celery.chord"}),
    "no id": message(headers={"id": "left out"}),
    "id a number": message(headers={"id": 5}),
    "no delivery tag": message(properties={"delivery_tag": "left out"}),
    "delivery tag a list": message(properties={"delivery_tag": []}),
    "no delivery info": message(properties={"delivery_info": "left out"}),
    "delivery info empty": message(properties={"delivery_info": {}}),
    "delivery info a list": message(properties={"delivery_info": []}),
    "no body": message(body="left out"),
    "body null": message(body=None),
    "body a number": message(body=5),
    "body no base64": message(body="\u0000***" + SECRET),
    "body no JSON": message(body=encoded(b"\xff\xfe")),
    "body deep": message(body=encoded(b"[" * 5_000)),
    "body an object": message(body=encoded({"a": SECRET})),
    "body too short": message(body=encoded([[0]])),
    "no arguments": message(body=encoded([[], {}, {}])),
    "too many arguments": message(body=encoded([[0, 1], {}, {}])),
    "argument a text": message(body=encoded([[SECRET], {}, {}])),
    "argument huge": message(body=encoded([[10**30], {}, {}])),
    "argument negative": message(body=encoded([[-1], {}, {}])),
    "named arguments": message(body=encoded([[0], {"shards": 1}, {}])),
    "callbacks": message(body=encoded([[0], {}, {"callbacks": [{"task": "x"}]}])),
    "other encoding of the body": message(properties={"body_encoding": "rot13"}),
    "pickle": message(**{"content-type": "application/x-python-serialize"}),
    "unknown encoding": message(**{"content-encoding": "utf-99"}),
    "eta": message(headers={"eta": "2099-01-01T00:00:00"}),
    "expiry no time": message(headers={"expires": "soon"}),
    "expiry a list": message(headers={"expires": []}),
}
#: Messages in the list that no JSON parser takes.
GARBAGE: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"hello " + SECRET.encode(),
    "no UTF-8": b"\xff\xfe\x00",
    "pickled": b"\x80\x04\x95\x0b",
    "deep": b"[" * 100_000,
    "digits": b"9" * 5_000,
    "a type of kombu's that there is not": b'{"__type__":"x","__value__":5}',
    "a time of kombu's that is none": b'{"__type__":"datetime","__value__":5}',
    "a uuid of kombu's that is none": b'{"__type__":"uuid","__value__":{"hex":5}}',
}
#: Headers that Celery fails at, in a message that can be run without them.
ODD_HEADERS: dict[str, Any] = {
    "timelimit": "x",
    "retries": "x",
    "compression": "zlib",
    "stamps": 5,
    "stamped_headers": 5,
    "group": {"a": 1},
    "root_id": [],
    "argsrepr": "x" * 1_000_000,
    "origin": {"a": 1},
    "lang": 5,
    "ignore_result": [],
    "shadow": [],
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_foreign_messages_are_named_and_not_quoted(body: Any) -> None:
    with pytest.raises(NotOursError) as refused:
        checked(body)
    assert len(str(refused.value)) < 200
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(("name", "value"), ODD_HEADERS.items(), ids=ODD_HEADERS)
def test_headers_that_celery_could_fail_at_are_left_out(name: str, value: Any) -> None:
    assert name not in checked(message(headers={name: value}))["headers"]


def test_headers_of_tracing_libraries_stay() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert checked(message(headers={"traceparent": trace}))["headers"]["traceparent"] == trace


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_survives_anything_in_its_queue(
    harness: Harness, start_worker: Callable[..., Any], pool: str
) -> None:
    odd = [message(headers={name: value}) for name, value in ODD_HEADERS.items()]
    lying = [
        *GARBAGE.values(),
        *(json.dumps(each).encode() for each in (*MALFORMED.values(), *odd)),
    ]
    # Some lie there when it starts, some come while it runs.
    harness.redis.rpush(QUEUE_KEY, *lying[::2])
    worker = start_worker(harness.settings, pool=pool, concurrency=2)
    pid = worker.pid
    for each in lying[1::2]:
        harness.redis.lpush(QUEUE_KEY, each)
    wait_until(lambda: harness.redis.llen(QUEUE_KEY) == 0, 60, "the queue to be read")
    # A wakeup is one of its messages: its delivery proves that the worker still reads.
    for number in range(3):
        harness.wait_delivered([harness.producer.track("42", f"seen {number}", {})], 60)
    expected = len(GARBAGE) + len(MALFORMED)
    wait_until(
        lambda: worker.output.count("celery_message_dropped") == expected, 30, "a line for each"
    )
    assert (worker.running, worker.pid) == (True, pid)
    assert "Traceback" not in worker.output
    assert "shop.tasks.charge" in worker.output
    assert SECRET not in worker.output
    assert max(map(len, worker.output.splitlines())) < 1_000
    wait_until(
        lambda: not harness.redis.hlen("trackrelay:celery:unacked"),
        30,
        "every message to be acknowledged",
    )


def test_the_tasks_that_a_worker_runs_are_those_it_takes(
    worker_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in worker_settings.items():
        monkeypatch.setenv(name, value)
    from trackrelay.worker.celery import app

    assert {name for name in app.tasks if name.startswith("trackrelay.")} == set(
        celery_messages._ARGUMENTS
    )
