"""Where all the jobs are, looked up several times a second."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.delivery.breaker import Breaker
from trackrelay.worker.queue.queue_config import read
from trackrelay.worker.queue.queue_length import jobs_queued
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import Filters
from trackrelay.worker.storage.queries.table_sizes import totals

from .journal import Journal

POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Numbers:
    """How many jobs are where."""

    enqueued: int = 0
    in_streams: int = 0
    in_backlog: int = 0
    delivered: int = 0
    dead: int = 0
    replaying: int = 0
    #: ``closed``: delivery is possible; ``open`` or ``halted``: it is not.
    breaker: str = "closed"
    #: Seconds until delivery is tried again.
    probe_in_s: float = 0.0

    @property
    def settled(self) -> bool:
        """Whether nothing is on its way."""
        return (
            not (self.in_streams or self.in_backlog or self.replaying)
            and self.enqueued == self.delivered + self.dead
        )


class Gauge:
    """Looks up the numbers in a thread of its own."""

    def __init__(self, stores: Stores, journal: Journal) -> None:
        self._stores = stores
        self._journal = journal
        self._breaker = Breaker(stores.redis, probe_s=30)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trackrelay-demo-gauge", daemon=True)
        self.numbers = Numbers()

    def __enter__(self) -> Gauge:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stopped.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stopped.wait(POLL_S):
            try:
                self.numbers = self.look()
            except (RedisError, SQLAlchemyError):
                continue

    def look(self) -> Numbers:
        """The numbers now."""
        # What is on its way is counted before what has arrived: a job may be seen twice, but never nowhere.
        in_streams = self._in_streams()
        with self._stores.engine.connect() as connection:
            counted = totals(connection)
            states = dead_letter_queries.counts(connection, Filters(states=("open", "replaying")))
        dead = {
            state: sum(each.letters for each in states if each.state == state)
            for state in ("open", "replaying")
        }
        breaker_state = self._breaker.read_states(may_probe=None).worst
        return Numbers(
            enqueued=len(self._journal.accepted),
            in_streams=in_streams,
            in_backlog=counted["waiting job"],
            delivered=counted["ledger row"],
            dead=dead["open"],
            replaying=dead["replaying"],
            breaker=breaker_state.phase,
            probe_in_s=max(0.0, breaker_state.wait_s),
        )

    def _in_streams(self) -> int:
        config = read(self._stores.redis)
        return jobs_queued(self._stores.redis, config.shards if config else 0)
