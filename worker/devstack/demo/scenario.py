"""The scenario: a day in the shop, an outage, refusals and their replay, and the final check."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from trackrelay import InvalidOperationError, Producer
from trackrelay.sandbox.client import SandboxClient
from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.common.humanize import count
from trackrelay.worker.cli.dead_letters.letter_replay import make_replayer
from trackrelay.worker.dead_letters.eligibility import ReplayPolicy
from trackrelay.worker.dead_letters.replay_batches import Replayer
from trackrelay.worker.devstack.stack import wait_until
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import DeadLetter, Filters
from trackrelay.worker.storage.replay import Replay

from .console import DemoConsole
from .demo_verdict import Expected, Verdict, judge, of_document, of_effect
from .job_counts import JobCounts, JobMonitor, Journal
from .shop import FAULTS, MISTAKES, DemoFault, Shop, add_faults

#: When the outage begins and ends, as shares of the day.
OUTAGE = (0.35, 0.60)
#: How long to wait until every job has arrived.
SETTLED_S = 90.0
#: How long to wait while the counts do not change.
STALLED_S = 15.0


@dataclass(slots=True)
class Tallies:
    """Counts for the summary."""

    refused_at_the_call: int = 0
    dead_lettered: int = 0
    replayed: int = 0
    outage_s: float = 0.0


class Scenario:
    """One run of the demo on a running stack.

    Args:
        stores: The stores of the stack.
        sandbox: The client of its sandbox.
        console: Prints the steps.
        jobs: About how many jobs to enqueue.
        seconds: How long the day in the shop lasts.
    """

    def __init__(
        self,
        stores: Stores,
        sandbox: SandboxClient,
        console: DemoConsole,
        *,
        jobs: int,
        seconds: float,
    ) -> None:
        self._stores = stores
        self._sandbox = sandbox
        self._console = console
        self._seconds = seconds
        self._shop = Shop(jobs)
        self._producer = Producer(
            redis_url=stores.settings.redis_url.get_secret_value(), source="shop"
        )
        self._journal = Journal(self._producer.backend)
        self._producer.backend = self._journal
        self._replays: list[Replay] = []
        self.monitor = JobMonitor(stores, self._journal)
        self.tallies = Tallies()

    @property
    def enqueued(self) -> int:
        """The number of jobs accepted so far."""
        return len(self._journal.accepted)

    def run(self) -> Verdict:
        """Run all steps; return the verdict."""
        numbers = add_faults(self._sandbox)
        self._import()
        self._make_mistakes()
        self._spend_the_day()
        self._settle("every job is delivered or a dead letter")
        self._replay_dead_letters(numbers)
        self._settle("the replayed jobs are delivered")
        self._producer.close()
        return self.verdict()

    def _import(self) -> None:
        imported = self._producer.enqueue_many(self._shop.old_customers())
        self._console.step(
            f"{count(imported, 'customer')} of last year imported: in the bulk lane, they do not "
            "delay other jobs"
        )

    def _make_mistakes(self) -> None:
        self._console.step("three calls have mistakes: they raise an error and enqueue nothing")
        for mistake in MISTAKES:
            try:
                mistake(self._producer)
            except InvalidOperationError as error:
                self.tallies.refused_at_the_call += 1
                self._console.detail(f"InvalidOperationError: {error}")

    def _spend_the_day(self) -> None:
        self._console.step("the shop opens: visitors look around, register and buy")
        steps = self._shop.day()
        began = None
        for number, step in self._paced(steps):
            share = number / len(steps)
            if began is None and share >= OUTAGE[0]:
                began = self._begin_outage()
            if began and not self.tallies.outage_s and share >= OUTAGE[1]:
                self._end_outage(began)
            step(self._producer)
        self._console.step(
            f"the shop closes: {count(self.enqueued, 'job')} accepted, also during the outage"
        )

    def _paced(self, steps: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield the steps evenly over the day."""
        started = time.monotonic()
        for number, step in enumerate(steps):
            time.sleep(max(0.0, started + self._seconds * number / len(steps) - time.monotonic()))
            yield number, step

    def _begin_outage(self) -> float:
        self._sandbox.start_outage(503)
        self._console.step("Customer.io is down: it answers every request with a 503", "bold red")
        self._console.detail(
            "the shop does not notice; undelivered jobs wait in Postgres, in order"
        )
        return time.monotonic()

    def _end_outage(self, began: float) -> None:
        self._sandbox.end_outage()
        self.tallies.outage_s = time.monotonic() - began
        self._console.step(f"Customer.io is back after {self.tallies.outage_s:.1f} s", "bold green")

    def _settle(self, result: str) -> None:
        """Wait until every job has arrived, or nothing changes although delivery is possible."""
        last, changed_at = JobCounts(), time.monotonic()

        def is_over() -> bool:
            nonlocal last, changed_at
            counts = self.monitor.read()
            if counts != last or counts.breaker != "closed":
                last, changed_at = counts, time.monotonic()
            return counts.settled or time.monotonic() - changed_at > STALLED_S

        wait_until(is_over, SETTLED_S, poll_s=0.1)
        counts = self.monitor.read()
        if counts.settled:
            self._console.step(result)
        else:
            self._console.step(f"still not settled: {counts}", "bold red")

    def _replay_dead_letters(self, numbers: dict[DemoFault, int]) -> None:
        with self._stores.engine.connect() as connection:
            dead_letters = dead_letter_queries.load(
                connection, dead_letter_queries.ids(connection, Filters(states=("open",)))
            )
        self.tallies.dead_lettered = len(dead_letters)
        self._console.step(
            f"{count(len(dead_letters), 'dead letter')}: Customer.io refused these jobs, and they "
            "held up no others",
            "bold yellow",
        )
        replayer = make_replayer(self._stores, who="trackrelay demo")
        for fault in FAULTS:
            refused = [each for each in dead_letters if each.error == fault.message]
            if refused:
                if fault.fixed_there:
                    self._sandbox.delete_fault(numbers[fault])
                self._replay(replayer, fault, refused)

    def _replay(self, replayer: Replayer, fault: DemoFault, refused: Sequence[DeadLetter]) -> None:
        self._console.step(f"{len(refused)} × {fault.field}: {fault.message}")
        self._console.detail(fault.remedy)
        policy = ReplayPolicy(repair=fault.patch, even_if_newer=fault.even_if_newer)
        replayed = [
            replay
            for outcome in replayer.replay([each.id for each in refused], policy)
            for replay in outcome.replays
        ]
        self._replays += replayed
        self.tallies.replayed += len(replayed)
        self._console.detail(f"$ {fault.command}   → {len(replayed)} replayed")

    def verdict(self) -> Verdict:
        """Compare what the queue accepted with what arrived at the sandbox."""
        effects = self._sandbox.effects(ignored=True)
        return judge(self._expected(), (each for effect in effects for each in of_effect(effect)))

    def _expected(self) -> list[Expected]:
        # A dead letter lost its place: it is expected as repaired, in the order of the replays.
        replayed = {replay.letter.id: replay for replay in self._replays}
        operations = {each.operation.id: each.operation for each in self._journal.accepted}
        delivered = [
            _expect(each.operation.id, each.operation.body, each.operation.keys, each.lane)
            for each in self._journal.accepted
            if each.operation.id not in replayed
        ]
        return delivered + [
            _expect(id, replay.job.body, operations[id].keys, "replayed")
            for id, replay in replayed.items()
        ]


def _expect(id: str, body: bytes, keys: tuple[str, ...], lane: str) -> Expected:
    return Expected(id, of_document(msgspec.json.decode(body), keys), keys, lane)
