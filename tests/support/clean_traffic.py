"""Traffic without losses, verified while it runs: each finding is a false alarm.

``python -m tests.support.clean_traffic --jobs 50000`` starts its own servers and prints a figure.
"""

from __future__ import annotations

import argparse
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from tests.support.harness import Harness
from tests.support.verification_harness import Verifying
from trackrelay import ObjectRef, Person
from trackrelay.worker.storage.verdicts import BAD, Verdict

#: Jobs that are enqueued before the next pause.
BURST = 200
#: Jobs that may wait at once.
MAX_WAITING = 4_000


class CleanTraffic:
    """Enqueues operations that Customer.io applies, under several names of each person."""

    def __init__(self, harness: Harness, people: int, seed: int) -> None:
        self.harness = harness
        self.producer = harness.producer
        self.random = random.Random(seed)
        self.people = [f"p{number}" for number in range(people)]
        self.calls: Counter[str] = Counter()
        self.merged = self.extra = 0

    def first(self) -> Iterator[list[str]]:
        """Create everybody, so that both of a person's names lead to one person."""
        for start in range(0, len(self.people), BURST):
            yield [
                self.producer.identify(person, {"email": self._email(person), "plan": "free"})
                for person in self.people[start : start + BURST]
            ]

    def more(self, jobs: int) -> Iterator[list[str]]:
        """Change them."""
        for start in range(0, jobs, BURST):
            yield [self._one() for _ in range(min(BURST, jobs - start))]

    def _email(self, person: str) -> str:
        return f"{person}@example.com"

    def _one(self) -> str:
        person = self.random.choice(self.people)
        name = (
            Person(email=self._email(person)) if self.random.random() < 0.3 else Person(id=person)
        )
        operations: list[tuple[int, str, Callable[[], Any]]] = [
            (40, "identify", lambda: self.producer.identify(name, self._attributes())),
            (3, "update", lambda: self.producer.identify(name, {"x": 1}, update_only=True)),
            (25, "track", lambda: self.producer.track(name, self._word(), {"n": 1})),
            (5, "page", lambda: self.producer.page(name, f"https://example.com/{self._word()}")),
            (5, "screen", lambda: self.producer.screen(name, self._word())),
            (6, "relate", lambda: self.producer.add_relationships(Person(id=person),
                    self._object())),
            (3, "part", lambda: self.producer.delete_relationships(Person(id=person),
                    self._object())),
            (5, "device", lambda: self.producer.add_device(name, f"{person}-phone", "ios")),
            (2, "object", lambda: self.producer.identify_object(self._object(),
                    self._attributes())),
            (1, "delete", lambda: self.producer.delete_person(Person(id=person))),
            (1, "merge", lambda: self._merge(person)),
        ]  # fmt: skip
        weights = [weight for weight, _, _ in operations]
        ((_, action, call),) = self.random.choices(operations, weights)
        self.calls[action] += 1
        return str(call())

    def _merge(self, person: str) -> str:
        """Merge a new person into ``person``; both exist."""
        self.merged += 1
        other = f"{person}-{self.merged}"
        self.producer.identify(person, self._attributes())
        self.producer.identify(other, self._attributes())
        self.producer.track(other, self._word())
        self.extra += 3
        return str(self.producer.merge(primary=person, secondary=other))

    def _attributes(self) -> dict[str, Any]:
        names = self.random.sample(["plan", "age", "ratio", "vip", "tags", "about", "city"], 3)
        return {name: self._value(name) for name in names}

    def _value(self, name: str) -> Any:
        number = self.random.randrange(10**6)
        values: dict[str, Any] = {
            "plan": f"plan {number}",
            "age": number,
            "ratio": number / 7,
            "vip": number % 2 == 0,
            "tags": [number, "é", None],
            "about": {"a": {"b": number / 3}, "ü": True},
            "city": None if number % 3 == 0 else f"city {number}",
        }
        return values[name]

    def _word(self) -> str:
        return self.random.choice(["order_placed", "seen", "signed up", "left"])

    def _object(self) -> ObjectRef:
        return ObjectRef(1, f"company{self.random.randrange(50)}")


def run(verifying: Verifying, jobs: int, seed: int = 1) -> dict[str, Any]:
    """Deliver ``jobs`` while they are verified; return what was counted.

    Deliveries and comparisons go on at the same time, in threads of their own.
    """
    harness = verifying.harness
    traffic = CleanTraffic(harness, max(20, jobs // 6), seed)
    enqueued = 0
    over = threading.Event()
    failures: list[BaseException] = []

    def until_over(step: Callable[[], Any]) -> None:
        try:
            while not over.is_set():
                step()
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=until_over, args=(lambda: verifying.worker.work(slice_s=0.2),)),
        threading.Thread(target=until_over, args=(verifying.run,)),
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        for phase in (traffic.first(), traffic.more(jobs - len(traffic.people))):
            for burst in phase:
                enqueued += len(burst)
                while harness.stream_length() > MAX_WAITING and not failures:
                    time.sleep(0.05)
            while not failures and (harness.stream_length() or harness.backlog_size()):
                time.sleep(0.05)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
    verifying.verify(timeout=3_600)
    verdicts = verifying.open()
    (row,) = harness.rows("SELECT value FROM trackrelay_state WHERE name = 'verified'")
    return {
        "jobs": enqueued + traffic.extra,
        "delivered": len(harness.ledger_ids()),
        "verified items": sum(row.value.values()),
        "false alarms": [each for each in verdicts if each.verdict in BAD],
        "unknown": [each for each in verdicts if each.verdict not in BAD],
        "calls": dict(traffic.calls),
        "seconds": round(time.monotonic() - began),
    }


def _main() -> None:
    from tests.support.databases import migrate
    from trackrelay.sandbox.sandbox_process import SandboxProcess
    from trackrelay.worker.devstack.servers import PostgresProcess, ValkeyProcess
    from trackrelay.worker.queue import bootstrap

    parser = argparse.ArgumentParser(description="Verify traffic without a loss.")
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresProcess(durable=False))
        valkey = stack.enter_context(ValkeyProcess())
        sandbox = stack.enter_context(SandboxProcess())
        settings = {
            "TRACKRELAY_REDIS_URL": valkey.url,
            "TRACKRELAY_DATABASE_URL": postgres.url,
            "CUSTOMERIO_TRACK_URL": sandbox.url,
            "CUSTOMERIO_SITE_ID": sandbox.site_id,
            "CUSTOMERIO_TRACK_API_KEY": sandbox.api_key,
            "CUSTOMERIO_APP_URL": sandbox.url,
            "CUSTOMERIO_APP_API_KEY": sandbox.app_api_key,
            "TRACKRELAY_LOG_LEVEL": "error",
        }
        migrate(postgres.url)
        harness = Harness(settings, sandbox.client)
        stack.callback(harness.close)
        bootstrap.migrate(harness.engine, harness.redis, 4)
        verifying = Verifying(harness, {"TRACKRELAY_VERIFY_AFTER": "1s"})
        stack.callback(verifying.close)
        result = run(verifying, given.jobs, given.seed)
    for name, value in result.items():
        shown = len(value) if isinstance(value, list) else value
        print(f"{name}: {shown}")
    for verdict in result["false alarms"][:20]:
        print(_line(verdict))


def _line(verdict: Verdict) -> str:
    return f"  {verdict.verdict} {verdict.key} {verdict.item}: {verdict.reason}"


if __name__ == "__main__":
    _main()
