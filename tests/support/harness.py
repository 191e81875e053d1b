"""The whole harness of a test: a producer, a worker's servers, the sandbox, and a job's state."""

from collections.abc import Iterable
from typing import Any

import redis
import sqlalchemy as sa

from trackrelay import Producer
from trackrelay.configuration.server_urls import is_sentinel
from trackrelay.queue.connections import make_client
from trackrelay.sandbox.client import Effect, SandboxClient
from trackrelay.worker.queue import queue_config
from trackrelay.worker.queue.queue_length import jobs_queued
from trackrelay.worker.settings import sqlalchemy_url

from .waiting import wait_until


class Harness:
    """What a test calls and reads; `settings` are the worker's."""

    def __init__(self, settings: dict[str, str], sandbox: SandboxClient, **producer: Any) -> None:
        self.settings = settings
        self.sandbox = sandbox
        url = settings["TRACKRELAY_REDIS_URL"]
        self.redis = make_client(url, 30.0) if is_sentinel(url) else redis.Redis.from_url(url)
        self.engine = sa.create_engine(sqlalchemy_url(settings["TRACKRELAY_DATABASE_URL"]))
        # Redis is there, and so is the time that it takes on a busy machine.
        given = {"enqueue_timeout": 30, **producer}
        self.producer = Producer(
            redis_url=settings["TRACKRELAY_REDIS_URL"], source="tests", **given
        )

    def close(self) -> None:
        """Close every connection."""
        self.producer.close()
        self.redis.close()
        self.engine.dispose()

    def rows(self, statement: str, **parameters: Any) -> list[Any]:
        """The rows of a query."""
        with self.engine.connect() as connection:
            return list(connection.execute(sa.text(statement), parameters).all())

    def delivered(self, job: str) -> Any:
        """The job's ledger row."""
        return next(iter(self.rows("SELECT * FROM trackrelay_ledger WHERE id = :id", id=job)), None)

    def dead(self, job: str) -> Any:
        """The job's dead letter."""
        return next(
            iter(self.rows("SELECT * FROM trackrelay_dead_letters WHERE job_id = :id", id=job)),
            None,
        )

    def waiting(self, job: str) -> Any:
        """The job's backlog row."""
        return next(
            iter(self.rows("SELECT * FROM trackrelay_backlog WHERE job_id = :id", id=job)), None
        )

    def ledger_ids(self) -> set[str]:
        """Every delivered job."""
        return {row.id for row in self.rows("SELECT id FROM trackrelay_ledger")}

    def dead_ids(self) -> set[str]:
        """Every open dead letter."""
        return {
            row.job_id
            for row in self.rows("SELECT job_id FROM trackrelay_dead_letters WHERE state = 'open'")
        }

    def backlog_size(self) -> int:
        """Rows in the backlog."""
        return int(self.rows("SELECT count(*) AS n FROM trackrelay_backlog")[0].n)

    def stream_length(self) -> int:
        """Jobs in all streams."""
        config = queue_config.read(self.redis)
        return jobs_queued(self.redis, config.shards) if config else 0

    def wait_delivered(self, jobs: Iterable[str], timeout: float = 15.0) -> None:
        """Wait until every job has a ledger row."""
        wanted = set(jobs)
        wait_until(
            lambda: wanted <= self.ledger_ids(),
            timeout,
            lambda: f"delivery of {wanted - self.ledger_ids()}",
        )

    def wait_dead(self, job: str, timeout: float = 15.0) -> Any:
        """Wait until the job is a dead letter; returns it."""
        return wait_until(lambda: self.dead(job), timeout, f"the dead letter of {job}")

    def wait_waiting(self, job: str, timeout: float = 15.0) -> Any:
        """Wait until the job is in the backlog; returns its row."""
        return wait_until(lambda: self.waiting(job), timeout, f"{job} in the backlog")

    def wait_settled(self, timeout: float = 20.0) -> None:
        """Wait until nothing is in a stream or in the backlog."""
        wait_until(
            lambda: self.stream_length() == 0 and self.backlog_size() == 0,
            timeout,
            lambda: (
                f"streams ({self.stream_length()}) and backlog ({self.backlog_size()}) to be empty"
            ),
        )

    def effects(self, key: str | None = None) -> list[Effect]:
        """What took effect, in order; only of `key` if given."""
        return [effect for effect in self.sandbox.effects() if key is None or key in effect["keys"]]

    def breaker(self, family: str = "v2") -> dict[str, str]:
        """Return what Redis holds of a family's breaker, or of the shared one while it is open."""
        shared, own = (
            {name.decode(): value.decode() for name, value in self.redis.hgetall(key).items()}
            for key in ("trackrelay:breaker", f"trackrelay:breaker:{family}")
        )
        return own if shared.get("state", "closed") == "closed" else shared
