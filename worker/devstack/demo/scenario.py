"""The story from beginning to end: a day in the shop, an outage, refusals, their repair, and the reckoning."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from trackrelay import InvalidOperationError, Producer
from trackrelay.sandbox.client import SandboxClient
from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.common.humanize import count
from trackrelay.worker.dead_letters.eligibility import Wanted
from trackrelay.worker.dead_letters.replay_batches import Replayer, Tally
from trackrelay.worker.devstack.waits import wait_until
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import DeadLetter, Filters
from trackrelay.worker.storage.replay import Replay

from . import fingerprints
from .console import Stage
from .demo_faults import TROUBLES, Trouble, plant
from .demo_verdict import Expected, Verdict, judge
from .job_counts import Gauge, Numbers
from .journal import Journal
from .shop import MISTAKES, Shop

#: Parts of the day at which the outage begins and ends.
OUTAGE = (0.35, 0.60)
#: By then everything has arrived, or never will.
SETTLED_S = 90.0
#: Nothing has moved for so long: nothing will.
STALLED_S = 15.0


@dataclass(slots=True)
class Counted:
    """What happened, for the summary."""

    refused_at_the_call: int = 0
    dead_lettered: int = 0
    replayed: int = 0
    outage_s: float = 0.0


class Play:
    """One performance on a stack that runs.

    Args:
        jobs: about how many jobs.
        seconds: how long the day in the shop lasts.
    """

    def __init__(
        self, stores: Stores, sandbox: SandboxClient, stage: Stage, *, jobs: int, seconds: float
    ) -> None:
        self._stores = stores
        self._sandbox = sandbox
        self._stage = stage
        self._seconds = seconds
        self._shop = Shop(jobs)
        self._producer = Producer(
            redis_url=stores.settings.redis_url.get_secret_value(), source="shop"
        )
        self._journal = Journal(self._producer.backend)
        self._producer.backend = self._journal
        self._replays: list[Replay] = []
        self.gauge = Gauge(stores, self._journal)
        self.counted = Counted()

    @property
    def enqueued(self) -> int:
        """Jobs accepted so far."""
        return len(self._journal.accepted)

    def perform(self) -> Verdict:
        """Play it all; returns what the sandbox saw of it."""
        faults = plant(self._sandbox)
        self._import()
        self._mistakes()
        self._day()
        self._settle("everything that can be delivered is")
        self._repair(faults)
        self._settle("the replayed ones have arrived")
        self._producer.close()
        return self.verdict()

    def _import(self) -> None:
        imported = self._producer.enqueue_many(self._shop.old_customers())
        self._stage.say(
            f"{count(imported, 'customer')} of last year imported, in the bulk lane: they delay nobody"
        )

    def _mistakes(self) -> None:
        self._stage.say(
            "some calls have mistakes in them; they raise at once, and nothing is enqueued:"
        )
        for mistake in MISTAKES:
            try:
                mistake(self._producer)
            except InvalidOperationError as error:
                self.counted.refused_at_the_call += 1
                self._stage.aside(f"InvalidOperationError: {error}")

    def _day(self) -> None:
        self._stage.say("the shop opens: visitors look around, become known, and buy")
        steps = self._shop.day()
        began = None
        for number, step in self._in_time(steps):
            part = number / len(steps)
            if began is None and part >= OUTAGE[0]:
                began = self._begin_outage()
            if began and not self.counted.outage_s and part >= OUTAGE[1]:
                self._end_outage(began)
            step(self._producer)
        self._stage.say(
            f"the shop closes: {count(self.enqueued, 'job')} accepted, all day long, outage or not"
        )

    def _in_time(self, steps: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        started = time.monotonic()
        for number, step in enumerate(steps):
            time.sleep(max(0.0, started + self._seconds * number / len(steps) - time.monotonic()))
            yield number, step

    def _begin_outage(self) -> float:
        self._sandbox.start_outage(503)
        self._stage.say("Customer.io is down: every request is answered with a 503", "bold red")
        self._stage.aside(
            "the shop notices nothing; what cannot be delivered waits in Postgres, in order"
        )
        return time.monotonic()

    def _end_outage(self, began: float) -> None:
        self._sandbox.end_outage()
        self.counted.outage_s = time.monotonic() - began
        self._stage.say(f"Customer.io is back after {self.counted.outage_s:.1f} s", "bold green")

    def _settle(self, what: str) -> None:
        stall = _Stall()
        wait_until(
            lambda: (numbers := self.gauge.look()).settled or stall.noticed(numbers),
            SETTLED_S,
            poll_s=0.1,
        )
        numbers = self.gauge.look()
        self._stage.say(
            what if numbers.settled else f"still not settled: {numbers}",
            "" if numbers.settled else "bold red",
        )

    # -- what Customer.io refused, put right

    def _repair(self, faults: dict[Trouble, int]) -> None:
        with self._stores.engine.connect() as connection:
            open_letters = dead_letter_queries.load(
                connection, dead_letter_queries.ids(connection, Filters(states=("open",)))
            )
        self.counted.dead_lettered = len(open_letters)
        self._stage.say(
            f"{count(len(open_letters), 'dead letter')}: Customer.io refused them, and nothing else was held up",
            "bold yellow",
        )
        replayer = Replayer(
            self._stores.engine,
            self._stores.redis,
            self._stores.hasher(),
            self._stores.settings.merge_delay.total_seconds(),
            who="trackrelay demo",
        )
        for trouble in TROUBLES:
            self._put_right(
                trouble,
                faults[trouble],
                replayer,
                [each for each in open_letters if each.error == trouble.message],
            )

    def _put_right(
        self, trouble: Trouble, fault: int, replayer: Replayer, found: Sequence[DeadLetter]
    ) -> None:
        if not found:
            return
        self._stage.say(f"{len(found)} × {trouble.field}: {trouble.message}")
        self._stage.aside(trouble.remedy)
        if trouble.fixed_there:
            self._sandbox.delete_fault(fault)
        ids, wanted = [letter.id for letter in found], Wanted(repair=trouble.repair)
        tally = self._replay(replayer, ids, wanted)
        self._stage.aside(f"$ {trouble.command}   → {tally.replayed} replayed")
        if tally.refused:
            self._stage.aside(f"{len(tally.refused)} refused: {tally.refused[0].why}")
            again = self._replay(
                replayer, [each.id for each in tally.refused], replace(wanted, even_if_newer=True)
            )
            self._stage.aside(
                f"a device is no less a device for that: --even-if-newer   → {again.replayed} replayed"
            )

    def _replay(self, replayer: Replayer, ids: Sequence[str], wanted: Wanted) -> Tally:
        tally = Tally()
        for outcome in replayer.replay(ids, wanted):
            tally.add(outcome)
            self._replays += outcome.replays
        self.counted.replayed += tally.replayed
        return tally

    # -- the reckoning: what was promised, against what the sandbox has

    def verdict(self) -> Verdict:
        """Compare what the queue accepted with what arrived at the sandbox."""
        arrivals = [
            each
            for effect in self._sandbox.effects(ignored=True)
            for each in fingerprints.of_effect(effect)
        ]
        return judge(self._expected(), arrivals)

    def _expected(self) -> list[Expected]:
        # A dead letter gave up its place: it counts as said when it was replayed, in the words it was repaired to.
        again = {replay.letter.id: replay for replay in self._replays}
        first = [
            _expected(each.operation.id, each.operation.body, each.operation.keys, each.lane)
            for each in self._journal.accepted
            if each.operation.id not in again
        ]
        keys = {each.operation.id: each.operation.keys for each in self._journal.accepted}
        return first + [
            _expected(id, replay.job.body, keys[id], "replayed") for id, replay in again.items()
        ]


class _Stall:
    """Notices that nothing has moved for a while although it could."""

    def __init__(self) -> None:
        self._last: Numbers | None = None
        self._since = 0.0

    def noticed(self, numbers: Numbers) -> bool:
        if numbers != self._last or numbers.breaker != "closed":
            self._last, self._since = numbers, time.monotonic()
        return time.monotonic() - self._since > STALLED_S


def _expected(id: str, body: bytes, keys: tuple[str, ...], lane: str) -> Expected:
    return Expected(id, fingerprints.of_document(msgspec.json.decode(body), keys), keys, lane)
