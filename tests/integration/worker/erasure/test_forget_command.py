"""``trackrelay forget``: what is erased, what stays, and what comes later."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.in_process_worker import BUSY, FakeApi, Worker, make_due, refusal
from trackrelay import Person

PERSON = "canary-id-7731"
EMAIL = "canary.forgotten.5510@example.com"
VISITOR = "canary-visitor-0192"
NAMES = [PERSON, EMAIL, VISITOR]
#: Values of the person in payloads, idempotency keys and errors.
VALUES = ["canary-plan-8123", "canary-call-4471", "canary-nickname-6612"]


def everything(harness: Harness) -> str:
    """All that Postgres and Redis hold, as text."""
    parts = []
    tables = harness.rows(
        "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    for table in tables:
        parts += [str(row) for row in harness.rows(f'SELECT * FROM "{table.name}"')]
    client = harness.redis
    for key in client.scan_iter("*", count=1000):
        parts.append(repr(key))
        kind = client.type(key)
        read = {
            b"stream": client.xrange,
            b"hash": client.hgetall,
            b"string": client.get,
            b"list": lambda name: client.lrange(name, 0, -1),
            b"set": client.smembers,
            b"zset": lambda name: client.zrange(name, 0, -1, withscores=True),
        }[kind]
        parts.append(repr(read(key)))
    return "\n".join(parts)


def left(harness: Harness, values: Iterable[str] = (*NAMES, *VALUES)) -> list[str]:
    """The canaries that are still somewhere."""
    text = everything(harness)
    return [value for value in values if value in text]


@pytest.fixture
def scattered(harness: Harness, worker: Worker, api: FakeApi) -> dict[str, list[str]]:
    """Jobs of the person in every store of trackrelay, each beside one of somebody else."""
    who = Person(id=PERSON)
    producer = harness.producer
    found: dict[str, list[str]] = {}
    # The ledger.
    found["ledger"] = [
        producer.track(who, "first", {"plan": VALUES[0]}, idempotency_key=VALUES[1]),
        producer.identify(who, {"email": EMAIL}, anonymous_id=VISITOR),
    ]
    worker.work(3)
    make_due(harness.engine)
    worker.work(3)
    assert harness.ledger_ids() >= set(found["ledger"])
    # The dead letters.
    api.answers = lambda request, documents: refusal(f"no plan {VALUES[0]}")
    found["dead_letters"] = [producer.track(who, "refused", {"plan": VALUES[0]})]
    worker.work_off(lambda: harness.dead(found["dead_letters"][0]))
    # The backlog.
    api.answers = lambda request, documents: BUSY
    found["backlog"] = [
        producer.track(who, "waits", {"plan": VALUES[0]}),
        producer.identify(who, {"email": EMAIL, "nickname": VALUES[2]}),
        producer.identify(who, {"seen": 1}, anonymous_id=VISITOR),
        producer.track(Person(anonymous_id=VISITOR), "visited"),
        producer.track(Person(email=EMAIL), "opened"),
    ]
    others = [producer.track("other", "waits")]
    worker.work_off(lambda: all(harness.waiting(job) for job in (*found["backlog"], *others)))
    # The streams: an entry of their own, and one that they share.
    found["streams"] = [producer.track(who, "queued", {"plan": VALUES[0]})]
    others.append(producer.track("other", "queued"))
    found["others"] = others
    return found


def forget(run: CommandLine, *arguments: str) -> Any:
    answer = run(
        "forget",
        PERSON,
        "--also",
        f"email:{EMAIL}",
        "--also",
        f"anonymous:{VISITOR}",
        "--yes",
        "--json",
        *arguments,
    )
    assert answer.code == 0, answer
    return answer.json


def test_nothing_of_the_person_is_left_and_the_receipt_says_what_was_where(
    harness: Harness, run: CommandLine, scattered: dict[str, list[str]]
) -> None:
    assert set(left(harness)) == {*NAMES, *VALUES}

    receipt = forget(run)

    assert left(harness) == []
    assert receipt["complete"]
    stores = {store: (each["before"], each["after"]) for store, each in receipt["stores"].items()}
    assert stores == {
        "outbox": (None, None),
        "refused_calls": (0, 0),
        "streams": (1, 0),
        "backlog": (5, 0),
        "dead_letters": (1, 0),
        "ledger": (2, 0),
        "verification": (0, 0),
        "breakers": (receipt["stores"]["breakers"]["before"], 0),
    }
    assert not [value for value in (*NAMES, *VALUES) if value in json.dumps(receipt)]
