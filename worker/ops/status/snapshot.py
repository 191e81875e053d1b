"""How things stand everywhere at one moment, as far as it can be known."""

from __future__ import annotations

import time
from dataclasses import dataclass

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from ...queue_config import QueueProblem, check_queue
from ...settings import Settings
from ...store import migrating
from ...store.reading.overview import Overview, overview
from ..failures import explain, place
from ..stores import Stores
from .redis_side import RedisSide, look
from .sampling import SINGLES


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What Redis and Postgres say; None for the one that does not answer. Times are unix seconds."""

    settings: Settings
    now: float
    redis: RedisSide | None = None
    postgres: Overview | None = None
    #: What is wrong with Redis and the queue in it, or empty.
    redis_problem: str = ""
    #: What is wrong with Postgres and our tables in it, or empty.
    postgres_problem: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether both answered, and are set up."""
        return not (self.redis_problem or self.postgres_problem)

    @property
    def oldest(self) -> float | None:
        """When the oldest job that is neither delivered nor dead was enqueued."""
        moments = [side.oldest for side in (self.redis, self.postgres) if side and side.oldest is not None]
        return min(moments, default=None)

    @property
    def undelivered(self) -> int:
        """Jobs in streams and backlog; one that is moving from one to the other may count twice."""
        return (self.redis.queued if self.redis else 0) + (self.postgres.waiting if self.postgres else 0)

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
    """Ask both; what one of them cannot say now is said to be unknown."""
    redis, redis_problem = _redis(stores)
    postgres, postgres_problem = _postgres(stores)
    now = redis.now if redis else time.time()
    return Snapshot(stores.settings, now, redis, postgres, redis_problem, postgres_problem)


def _redis(stores: Stores) -> tuple[RedisSide | None, str]:
    try:
        side = look(stores.redis, stores.settings.requests_per_second)
        check_queue(stores.redis, stores.settings.shards)
    except QueueProblem as problem:
        return side, str(problem)
    except RedisError as error:
        return None, explain(error, redis_url=stores.settings.redis_url.get_secret_value()) or str(error)
    return side, ""


def _postgres(stores: Stores) -> tuple[Overview | None, str]:
    try:
        with stores.engine.connect() as connection:
            problem = migrating.problem(connection)
            return (None if problem else overview(connection, SINGLES)), problem or ""
    except SQLAlchemyError as error:
        return None, explain(error, database_url=stores.settings.database_url.get_secret_value()) or str(error)
