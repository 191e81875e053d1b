"""A person in every store, and a search for what is left of that person."""

from collections.abc import Iterable

import sqlalchemy as sa

from tests.support.harness import Harness
from tests.support.in_process_worker import BUSY, FakeApi, Worker, make_due, refusal
from trackrelay import Person

PERSON = "canary-id-7731"
EMAIL = "canary.forgotten.5510@example.com"
VISITOR = "canary-visitor-0192"
NAMES = (PERSON, EMAIL, VISITOR)
#: Values of the person in payloads, idempotency keys and errors.
VALUES = ("canary-plan-8123", "canary-call-4471", "canary-nickname-6612")
#: All names, as the command takes them.
ARGUMENTS = (PERSON, "--also", f"email:{EMAIL}", "--also", f"anonymous:{VISITOR}")


def everything(harness: Harness) -> str:
    """All that Postgres and Redis hold, as text."""
    parts = []
    for table in sa.inspect(harness.engine).get_table_names():
        parts += [str(row) for row in harness.rows(f'SELECT * FROM "{table}"')]
    client = harness.redis
    for key in client.scan_iter("*", count=1000):
        read = {
            b"stream": client.xrange,
            b"hash": client.hgetall,
            b"string": client.get,
            b"list": lambda name: client.lrange(name, 0, -1),
            b"set": client.smembers,
            b"zset": lambda name: client.zrange(name, 0, -1, withscores=True),
        }.get(client.type(key))  # a key may have expired meanwhile
        parts.append(repr((key, read(key) if read else None)))
    return "\n".join(parts)


def left(harness: Harness, values: Iterable[str] = (*NAMES, *VALUES)) -> list[str]:
    """The values of the person that are still somewhere."""
    text = everything(harness)
    return [value for value in values if value in text]


def scatter(harness: Harness, worker: Worker, api: FakeApi) -> dict[str, list[str]]:
    """Put jobs of the person into every store of trackrelay; returns their ids, and others'."""
    who, producer = Person(id=PERSON), harness.producer
    found = {
        "ledger": [
            producer.track(who, "first", {"plan": VALUES[0]}, idempotency_key=VALUES[1]),
            producer.identify(who, {"email": EMAIL}, anonymous_id=VISITOR),
        ]
    }

    def deliver() -> bool:
        make_due(harness.engine)
        return harness.ledger_ids() >= set(found["ledger"])

    worker.work_off(deliver)
    api.answers = lambda request, documents: refusal(f"no plan {VALUES[0]}")
    found["dead_letters"] = [producer.track(who, "refused", {"plan": VALUES[0]})]
    worker.work_off(lambda: harness.dead(found["dead_letters"][0]))
    api.answers = lambda request, documents: BUSY
    found["backlog"] = [
        producer.track(who, "waits", {"plan": VALUES[0]}),
        producer.identify(who, {"email": EMAIL, "nickname": VALUES[2]}),
        producer.identify(who, {"seen": 1}, anonymous_id=VISITOR),
        producer.track(Person(anonymous_id=VISITOR), "visited"),
        producer.track(Person(email=EMAIL), "opened"),
    ]
    found["others"] = [producer.track("other", "waits")]
    waiting = [*found["backlog"], *found["others"]]
    worker.work_off(lambda: all(harness.waiting(job) for job in waiting))
    found["streams"] = [producer.track(who, "queued", {"plan": VALUES[0]})]
    found["others"].append(producer.track("other", "queued"))
    return found
