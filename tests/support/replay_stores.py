"""Stores that a test fills, and a replayer for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
import sqlalchemy as sa
from msgspec.structs import replace

from trackrelay.operations.keys import shard_of
from trackrelay.operations.operation import Operation
from trackrelay.worker.dead_letters.eligibility import ReplayPolicy
from trackrelay.worker.dead_letters.replay_batches import Replayer, Tally
from trackrelay.worker.queue.bootstrap import migrate
from trackrelay.worker.settings import sqlalchemy_url
from trackrelay.worker.storage import dead_letter_queries, dead_letters, ledger, settlement, shards
from trackrelay.worker.storage.backlog import BacklogItem
from trackrelay.worker.storage.dead_letter_queries import DeadLetter, Filters
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.settlement import Holder, Settlement
from trackrelay.worker.storage.stored_job import Job

SHARDS = 4
THEN = 1_790_000_000.0


HASHER = KeyHasher(b"secret")


class Stores:
    """Stores that the test fills, and a replayer for them."""

    def __init__(self, engine: sa.Engine, client: redis.Redis) -> None:
        self.engine = engine
        self.redis = client
        self.replayer = Replayer(
            engine, client, HASHER, merge_delay_s=5, who="ada@test", note="a test"
        )

    def job(self, operation: Operation, at: float = THEN, **changes: Any) -> Job:
        body = (
            operation.body[:-1] + b',"timestamp":%d}' % int(at)
            if operation.stamp
            else operation.body
        )
        made = Job(
            id=operation.id, operation=operation.name,
            keys=tuple(HASHER.stored(key) for key in operation.keys),
            shards=tuple(shard_of(key, SHARDS) for key in operation.keys), body=body, lane="live",
            enqueued_at=at,
            age_from=at, entry="1-1",
        )  # fmt: skip
        return replace(made, **changes)

    def bury(
        self, *operations: Operation, at: float = THEN, reason: Any = "rejected", **changes: Any
    ) -> list[str]:
        """Make dead letters, enqueued ``at``; returns their ids."""
        jobs = [self.job(each, at, attempts=1, **changes) for each in operations]
        event = {"at": at, "what": reason, "error": "no such plan"}
        deaths = [
            NewDeadLetter(
                job=job,
                reason=reason,
                error="no such plan",
                field="attributes.plan",
                history=(event,),
            )
            for job in jobs
        ]
        with self.engine.begin() as connection:
            dead_letters.insert(connection, deaths)
        return [job.id for job in jobs]

    def deliver(self, operation: Operation, at: float) -> str:
        """Write into the ledger that a job enqueued ``at`` was delivered."""
        with self.engine.begin() as connection:
            ledger.record(connection, [self.job(operation, at)])
        return operation.id

    def wait_in_backlog(self, operation: Operation, at: float, lane: Any = "live") -> str:
        """Put a job into the backlog, as a holder does."""
        job = self.job(operation, at, lane=lane)
        with self.engine.begin() as connection:
            takeover = shards.take_over(connection, job.shards[0])
        with self.engine.begin() as connection:
            waiting = Settlement(waiting=[BacklogItem(job=job, reason="breaker")])
            settlement.settle(connection, Holder(job.shards[0], takeover.fence), waiting, 5)
        return job.id

    def letter(self, id: str) -> DeadLetter:
        with self.engine.connect() as connection:
            (found,) = dead_letter_queries.load(connection, [id])
        return found

    def ids(self, **filters: Any) -> list[str]:
        with self.engine.connect() as connection:
            return dead_letter_queries.ids(connection, Filters(**filters))

    def replay(self, *ids: str, **policy: Any) -> Tally:
        return self._tally(self.replayer.replay(ids, ReplayPolicy(**policy)))

    def plan(self, *ids: str, **policy: Any) -> Tally:
        return self._tally(self.replayer.plan(ids, ReplayPolicy(**policy)))

    def _tally(self, outcomes: Any) -> Tally:
        tally = Tally()
        for outcome in outcomes:
            tally.add(outcome)
        return tally

    def rows(self, statement: str) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(sa.text(statement)).all())

    def backlog(self) -> list[Any]:
        return self.rows("SELECT * FROM trackrelay_backlog ORDER BY shard, lane, key, position")


@contextmanager
def opened(database_url: str, redis_url: str) -> Iterator[Stores]:
    """Yield the stores of a test."""
    engine = sa.create_engine(sqlalchemy_url(database_url))
    client = redis.Redis.from_url(redis_url)
    migrate(engine, client, SHARDS)
    yield Stores(engine, client)
    client.close()
    engine.dispose()
