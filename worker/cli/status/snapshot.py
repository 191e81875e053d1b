"""How things stand everywhere at one moment, as far as it can be known."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.configuration.server_urls import place
from trackrelay.errors import TrackRelayError
from trackrelay.worker.cli.common.command_errors import explain
from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.common.humanize import count, duration
from trackrelay.worker.queue.queue_agreement import difference
from trackrelay.worker.queue.queue_config import QueueConfigError, check_queue
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage import schema
from trackrelay.worker.storage.queries.backlog_overview import Overview, overview

from .redis_snapshot import RedisSide, look

if TYPE_CHECKING:
    from trackrelay.worker.cli.common.outbox_reader import Waiting


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What Redis, Postgres and the outbox say; None for the one that does not answer. Times are unix seconds."""

    settings: Settings
    now: float
    redis: RedisSide | None = None
    postgres: Overview | None = None
    #: What is wrong with Redis and the queue in it, or empty.
    redis_problem: str = ""
    #: What is wrong with Postgres and our tables in it, or empty.
    postgres_problem: str = ""
    #: None also if there is no outbox.
    outbox: Waiting | None = None
    #: What is wrong with the outbox and its database, or empty.
    outbox_problem: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether Redis and Postgres answered, and are set up."""
        return not (self.redis_problem or self.postgres_problem)

    @property
    def problems(self) -> list[str]:
        """What is wrong with each of them."""
        return [
            each
            for each in (self.redis_problem, self.postgres_problem, self.outbox_problem)
            if each
        ]

    @property
    def oldest(self) -> float | None:
        """When the oldest job that is neither delivered nor dead was enqueued."""
        sides = (self.redis, self.postgres, self.outbox)
        moments = [side.oldest for side in sides if side and side.oldest is not None]
        return min(moments, default=None)

    @property
    def undelivered(self) -> int:
        """Jobs in outbox, streams and backlog; one that is moving from one to the next may count twice."""
        queued, waiting = (
            self.redis.queued if self.redis else 0,
            self.postgres.waiting if self.postgres else 0,
        )
        return queued + waiting + (self.outbox.jobs if self.outbox else 0)

    @property
    def redis_place(self) -> str:
        """Where Redis is, without what is secret."""
        return place(self.settings.redis_url.get_secret_value())

    @property
    def postgres_place(self) -> str:
        """Where Postgres is, without what is secret."""
        return place(self.settings.database_url.get_secret_value())

    def age(self, moment: float | None) -> float | None:
        """Seconds since ``moment``."""
        return None if moment is None else max(0.0, self.now - moment)


def take(stores: Stores) -> Snapshot:
    """Ask each; what one of them cannot say now is said to be unknown."""
    outbox, outbox_problem = _outbox(stores)
    redis, redis_problem = _redis(stores)
    postgres, postgres_problem = _postgres(stores)
    if redis and redis.config and postgres and not redis_problem:
        redis_problem = difference(redis.config, postgres.queue, redis.moving) or ""
    now = redis.now if redis else time.time()
    if outbox and redis and not outbox_problem:
        outbox_problem = _without_relay(stores, outbox, time.time())
    return Snapshot(
        stores.settings,
        now,
        redis,
        postgres,
        redis_problem,
        postgres_problem,
        outbox,
        outbox_problem,
    )


def _outbox(stores: Stores) -> tuple[Waiting | None, str]:
    if stores.outbox is None:
        return None, ""
    try:
        # Asked every few seconds, by health checks too: what is cheap.
        return stores.outbox.waiting(None), ""
    except TrackRelayError as error:
        return None, str(error)


def _without_relay(stores: Stores, waiting: Waiting, now: float) -> str:
    from trackrelay.worker.cli.common.outbox_reader import NO_RELAY, UNRELAYED_S

    if stores.outbox is None or waiting.oldest is None or now - waiting.oldest < UNRELAYED_S:
        return ""
    try:
        if stores.redis.exists(stores.outbox.lease):
            return ""
    except RedisError:
        return ""
    wait = f"{count(waiting.jobs, 'job')} {'waits' if waiting.jobs == 1 else 'wait'}"
    return f"outbox: {wait} for up to {duration(now - waiting.oldest)}, and {NO_RELAY}"


def _redis(stores: Stores) -> tuple[RedisSide | None, str]:
    try:
        side = look(stores.redis, stores.settings.requests_per_second)
        check_queue(stores.redis, stores.settings.shards)
    except QueueConfigError as problem:
        return side, str(problem)
    except RedisError as error:
        return None, explain(error, redis_url=stores.settings.redis_url.get_secret_value()) or str(
            error
        )
    return side, ""


def _postgres(stores: Stores) -> tuple[Overview | None, str]:
    try:
        with stores.engine.connect() as connection:
            problem = schema.problem(connection)
            return (None if problem else overview(connection)), problem or ""
    except SQLAlchemyError as error:
        return None, explain(
            error, database_url=stores.settings.database_url.get_secret_value()
        ) or str(error)
