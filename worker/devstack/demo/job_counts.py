"""The jobs of the demo: those that the queue accepted, and where they are."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.calls.backends import Backend
from trackrelay.operations.operation import Operation
from trackrelay.queue.append import Entry
from trackrelay.queue.redis_keys import Lane
from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.delivery.breaker import Breaker
from trackrelay.worker.queue.queue_config import read
from trackrelay.worker.queue.queue_length import jobs_queued
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import Filters
from trackrelay.worker.storage.queries.server_facts import totals

POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Accepted:
    """One job that the queue has accepted."""

    operation: Operation
    lane: Lane


@dataclass(slots=True)
class Journal:
    """A backend that records what the next backend accepts, in the order of delivery.

    An identify that accompanies an event is delivered before it.
    """

    next: Backend
    accepted: list[Accepted] = field(default_factory=list)

    def append(self, entries: Sequence[Entry], lane: Lane) -> None:
        """Pass ``entries`` on, then record them."""
        self.next.append(entries, lane)
        for entry in entries:
            each = entry.operation
            self.accepted += [
                Accepted(one, lane) for one in (each.companion, each) if one is not None
            ]

    def close(self) -> None:
        """Close the next backend."""
        self.next.close()


@dataclass(frozen=True, slots=True)
class JobCounts:
    """The number of jobs in each place."""

    enqueued: int = 0
    in_streams: int = 0
    in_backlog: int = 0
    delivered: int = 0
    dead: int = 0
    replaying: int = 0
    #: ``closed``: delivery is possible; ``open`` or ``halted``: it is not.
    breaker: str = "closed"
    #: Seconds until the next attempt to deliver.
    probe_in_s: float = 0.0

    @property
    def settled(self) -> bool:
        """Whether every job is delivered or a dead letter."""
        return (
            not (self.in_streams or self.in_backlog or self.replaying)
            and self.enqueued == self.delivered + self.dead
        )


class JobMonitor:
    """Reads the counts several times per second, in a thread of its own."""

    def __init__(self, stores: Stores, journal: Journal) -> None:
        self._stores = stores
        self._journal = journal
        self._breaker = Breaker(stores.redis, probe_s=30)
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="trackrelay-demo-monitor", daemon=True
        )
        self.counts = JobCounts()

    def __enter__(self) -> JobMonitor:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stopped.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stopped.wait(POLL_S):
            try:
                self.counts = self.read()
            except (RedisError, SQLAlchemyError):
                continue

    def read(self) -> JobCounts:
        """Return the counts now."""
        # Count the streams first: a job that moves meanwhile is counted twice, but never missed.
        config = read(self._stores.redis)
        in_streams = jobs_queued(self._stores.redis, config.shards if config else 0)
        with self._stores.engine.connect() as connection:
            counted = totals(connection)
            states = dead_letter_queries.counts(connection, Filters(states=("open", "replaying")))
        dead = {
            state: sum(each.letters for each in states if each.state == state)
            for state in ("open", "replaying")
        }
        breaker = self._breaker.read_states(may_probe=None).worst
        return JobCounts(
            enqueued=len(self._journal.accepted),
            in_streams=in_streams,
            in_backlog=counted["waiting job"],
            delivered=counted["ledger row"],
            dead=dead["open"],
            replaying=dead["replaying"],
            breaker=breaker.phase,
            probe_in_s=max(0.0, breaker.wait_s),
        )
