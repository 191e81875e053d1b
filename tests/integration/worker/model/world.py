"""The stores of the run, emptied for every example, and what can be seen of them from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis
import sqlalchemy as sa

from tests.integration.worker.model.api import AnythingApi
from tests.integration.worker.model.calls import CallLog
from tests.integration.worker.model.process import mortal
from tests.support.in_process_worker import Worker
from trackrelay import Producer
from trackrelay.operations.keys import shard_of
from trackrelay.queue.job import decode_entry
from trackrelay.queue.redis_keys import LANES, lease, stream
from trackrelay.worker.dead_letters.replay_batches import Replayer
from trackrelay.worker.maintenance import ticks
from trackrelay.worker.queue import queue_config
from trackrelay.worker.settings import sqlalchemy_url
from trackrelay.worker.storage import shards
from trackrelay.worker.storage.stored_job import Job

SHARDS = 2
MAX_ATTEMPTS = 3

_EMPTY = (
    "DELETE FROM trackrelay_ledger; DELETE FROM trackrelay_backlog; DELETE "
    "FROM trackrelay_dead_letters; "
    "DELETE FROM trackrelay_shards; DELETE FROM trackrelay_state WHERE name <> 'key_hash_secret'"
)


@dataclass(frozen=True)
class Row:
    """A row of the backlog."""

    id: str
    key: str
    shard: int
    lane: str
    position: int
    is_timed: bool
    parts: int


@dataclass(frozen=True)
class Seen:
    """Where every job is."""

    #: Ids by (shard, lane).
    streams: dict[tuple[int, str], list[str]]
    rows: list[Row]
    ledger: frozenset[str]
    #: State and reason by id.
    letters: dict[str, tuple[str, str]]

    @property
    def in_streams(self) -> set[str]:
        """Ids in any stream."""
        return {id for ids in self.streams.values() for id in ids}

    @property
    def settled(self) -> set[str]:
        """Ids that were delivered, or are dead letters in any state."""
        return {*self.ledger, *self.letters}


class World:
    """Servers, two worker processes, an application, and its calls."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.api = AnythingApi()
        environment = {
            **settings,
            "TRACKRELAY_MERGE_DELAY": "0s",
            "TRACKRELAY_MAX_ATTEMPTS": str(MAX_ATTEMPTS),
        }
        self._workers = [Worker(environment, self.api) for _ in range(2)]  # type: ignore[arg-type]
        self.processes = [mortal(worker) for worker in self._workers]
        self.redis = redis.Redis.from_url(settings["TRACKRELAY_REDIS_URL"])
        self.engine = sa.create_engine(
            sqlalchemy_url(settings["TRACKRELAY_DATABASE_URL"]), isolation_level="AUTOCOMMIT"
        )
        self.producer = Producer(redis_url=settings["TRACKRELAY_REDIS_URL"], source="tests")
        self.call_log = CallLog()

    def close(self) -> None:
        """Close every connection."""
        for worker in self._workers:
            worker.close()
        self.producer.close()
        self.redis.close()
        self.engine.dispose()

    def begin_anew(self) -> None:
        """Empty everything."""
        self.api.__init__()  # type: ignore[misc]
        self.api.objections = self._objections
        self.call_log = CallLog()
        self.redis.flushall()
        queue_config.set_up(self.redis, SHARDS)
        with self.engine.connect() as connection:
            connection.exec_driver_sql(_EMPTY)
            shards.set_up(connection, SHARDS)

    @property
    def shards(self) -> int:
        """How many there are now."""
        config = queue_config.read(self.redis)
        assert config is not None
        return config.shards

    @property
    def replayer(self) -> Replayer:
        """Replays and discards in the test's name."""
        return Replayer.of(self.processes[0], who="a test")

    def look(self) -> Seen:
        """Where every job is now. The streams first: jobs move from there to the tables."""
        places = [(shard, lane) for shard in range(self.shards) for lane in LANES]
        with self.redis.pipeline(transaction=False) as pipeline:
            for shard, lane in places:
                pipeline.xrange(stream(shard, lane))
            found = pipeline.execute()
        streams = {
            place: [job.id for _, fields in entries for job in decode_entry(fields[b"j"])]
            for place, entries in zip(places, found, strict=True)
        }
        with self.engine.connect() as connection:
            rows = [
                Row(*row)
                for row in connection.exec_driver_sql(
                    "SELECT job_id, key, shard, lane, position, due_at IS NOT NULL, parts "
                    "FROM trackrelay_backlog "
                    "ORDER BY shard, lane, key, position"
                )
            ]
            ledger = frozenset(
                row.id for row in connection.exec_driver_sql("SELECT id FROM trackrelay_ledger")
            )
            letters = connection.exec_driver_sql(
                "SELECT job_id, state, reason FROM trackrelay_dead_letters"
            )
            return Seen(
                streams, rows, ledger, {row.job_id: (row.state, row.reason) for row in letters}
            )

    def _objections(self, jobs: Sequence[Job]) -> list[str]:
        with self.engine.connect() as connection:
            found: Any = connection.execute(
                sa.text(
                    "SELECT id, 'delivered' AS how FROM trackrelay_ledger "
                    "WHERE id = ANY(:ids) UNION ALL "
                    "SELECT job_id, state FROM trackrelay_dead_letters WHERE job_id = ANY(:ids) "
                    "AND state = 'open'"
                ),
                {"ids": [job.id for job in jobs]},
            ).all()
        return [f"{row.id} was sent though it is {row.how}" for row in found] + [
            f"{job.id}, a {job.operation}, shares its request with {other.id}"
            for job in jobs
            for other in jobs
            if job.is_barrier and other is not job and not set(job.keys).isdisjoint(other.keys)
        ]

    def stored(self, key: str) -> str:
        """A key as the stores have it."""
        return self.processes[0].hasher.stored(key)

    def shard_of(self, key: str) -> int:
        """Where the jobs of a key, as applications name it, are queued now."""
        return shard_of(key, self.shards)

    # -- what time and people do

    def lease_runs_out(self, shard: int) -> None:
        """What time does to the lease of a holder that shows no life."""
        self.redis.delete(lease(shard))

    def backoffs_pass(self) -> None:
        """Let time act on everything that waits first of its key, and on what is stuck there."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql(
                "UPDATE trackrelay_backlog SET due_at = now() - interval '1 hour' "
                "WHERE due_at IS NOT NULL"
            )
        self.redis.delete(ticks.ORPHANS_KEY)
        ticks.recover_orphans(self.processes[0])

    def pause(self, shard: int | None, paused: bool) -> None:
        """As the commands pause and resume do."""
        with self.processes[0].engine.begin() as connection:
            shards.set_paused(connection, None if shard is None else [shard], paused)
