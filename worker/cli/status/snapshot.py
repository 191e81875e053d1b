"""The state of Redis, Postgres and the outbox at one moment. All times are unix seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from trackrelay.configuration.server_urls import place
from trackrelay.queue.redis_keys import Lane
from trackrelay.worker.cli.common.command_stores import OutboxJobs
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.queue.failed_calls import FailedCalls
from trackrelay.worker.queue.queue_config import QueueConfig
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage.queries.backlog_overview import Overview


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """One stream."""

    #: Entries: those that were not read, and those that were read and are not settled yet.
    length: int
    pending: int
    #: When its first entry was enqueued.
    oldest: float | None
    #: How often the first pending entry was delivered to a worker.
    deliveries: int


@dataclass(frozen=True, slots=True)
class ShardStatus:
    """One shard."""

    number: int
    lanes: dict[Lane, LaneStatus]
    #: Whether a worker holds it.
    held: bool

    @property
    def length(self) -> int:
        """Entries in both lanes."""
        return sum(lane.length for lane in self.lanes.values())

    @property
    def pending(self) -> int:
        """Entries in both lanes that were read and are not settled yet."""
        return sum(lane.pending for lane in self.lanes.values())

    @property
    def oldest(self) -> float | None:
        """When the oldest entry was enqueued."""
        return min(
            (lane.oldest for lane in self.lanes.values() if lane.oldest is not None), default=None
        )


@dataclass(frozen=True, slots=True)
class BreakerStatus:
    """One breaker. Times are 0 if something never happened."""

    state: str = "closed"
    reason: str = ""
    message: str = ""
    #: When the next attempt is due.
    until: float = 0.0
    since: float = 0.0
    last_success: float = 0.0
    #: Failed requests in a row.
    failures: int = 0
    #: The endpoint family of the breaker; None: the breaker that all families share.
    family: Family | None = None


@dataclass(frozen=True, slots=True, order=True)
class Destination:
    """Where a worker delivers; unknown parts are empty."""

    endpoint: str
    region: str = ""
    workspace: str = ""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker that runs, or whose heartbeat was lost."""

    hostname: str
    alive: bool
    #: When its last heartbeat was.
    seen: float
    pool: str = ""
    concurrency: int = 0
    version: str = ""
    pid: int = 0
    started: float = 0.0
    #: Where it delivers; None if it does not run, or has an older version that does not tell.
    destination: Destination | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of Redis, in bytes."""

    used: int
    #: 0: no limit.
    limit: int
    policy: str

    @property
    def share(self) -> float:
        """The used part of the limit; 0 without a limit."""
        return self.used / self.limit if self.limit else 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Jobs at the beginnings of the streams, and how many of them need their own request."""

    jobs: int = 0
    singles: int = 0

    @property
    def share(self) -> float:
        """The part of the jobs that need their own request."""
        return self.singles / self.jobs if self.jobs else 0.0


@dataclass(frozen=True, slots=True)
class RedisStatus:
    """Everything that Redis knows, at one moment."""

    #: By the clock of Redis.
    now: float
    config: QueueConfig | None
    memory: Memory
    shards: list[ShardStatus] = field(default_factory=list)
    #: The breaker of credentials, region and workspace. Its last success is that of any family.
    shared_breaker: BreakerStatus = field(default_factory=BreakerStatus)
    #: The breakers of the endpoint families.
    breakers: list[BreakerStatus] = field(default_factory=list)
    #: Requests a second that all workers together may make now.
    rate: float = 0.0
    #: Jobs delivered in each of the last minutes, the current one first.
    delivered: list[int] = field(default_factory=list)
    #: When the last beat was.
    beat: float | None = None
    workers: list[WorkerStatus] = field(default_factory=list)
    #: How far a change of the number of shards has come, or "".
    moving: str = ""
    #: Worker processes that refuse to deliver, by the reason.
    refusing: dict[str, list[str]] = field(default_factory=dict)
    sample: Sample = field(default_factory=Sample)
    #: Calls of the last 24 hours that enqueued nothing.
    failed_calls: FailedCalls = field(default_factory=FailedCalls)

    @property
    def stopped(self) -> list[BreakerStatus]:
        """The breakers that are not closed; only the shared one if it stops everything."""
        if self.shared_breaker.state != "closed":
            return [self.shared_breaker]
        return [breaker for breaker in self.breakers if breaker.state != "closed"]

    @property
    def breaker(self) -> BreakerStatus:
        """The most important breaker: a halted one, else that of v2, else the first not closed."""
        rank = {None: 0, Family.V2: 1}
        return min(
            self.stopped,
            key=lambda each: (each.state != "halted", rank.get(each.family, 2)),
            default=self.shared_breaker,
        )

    @property
    def is_stopped(self) -> bool:
        """Whether nothing is delivered, or nothing of the family to which most jobs belong."""
        return any(breaker.family in (None, Family.V2) for breaker in self.stopped)

    @property
    def queued(self) -> int:
        """Entries in all streams."""
        return sum(shard.length for shard in self.shards)

    @property
    def oldest(self) -> float | None:
        """When the oldest entry was enqueued."""
        return min(
            (shard.oldest for shard in self.shards if shard.oldest is not None), default=None
        )

    @property
    def alive(self) -> list[WorkerStatus]:
        """The workers that run."""
        return [worker for worker in self.workers if worker.alive]

    @property
    def destinations(self) -> list[Destination]:
        """Where the workers deliver: one, unless they are configured differently."""
        return sorted({each.destination for each in self.alive if each.destination})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of each store; None for a store that does not answer."""

    settings: Settings
    now: float
    redis: RedisStatus | None = None
    postgres: Overview | None = None
    #: What is wrong with Redis and the queue in it, or "".
    redis_problem: str = ""
    #: What is wrong with Postgres and our tables in it, or "".
    postgres_problem: str = ""
    #: None also if there is no outbox.
    outbox: OutboxJobs | None = None
    #: What is wrong with the outbox and its database, or "".
    outbox_problem: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether Redis and Postgres answered, and are set up."""
        return not (self.redis_problem or self.postgres_problem)

    @property
    def problems(self) -> list[str]:
        """What is wrong with the stores."""
        problems = (self.redis_problem, self.postgres_problem, self.outbox_problem)
        return [each for each in problems if each]

    @property
    def oldest(self) -> float | None:
        """When the oldest job was enqueued that is neither delivered nor dead."""
        stores = (self.redis, self.postgres, self.outbox)
        moments = [store.oldest for store in stores if store and store.oldest is not None]
        return min(moments, default=None)

    @property
    def undelivered(self) -> int:
        """Jobs in outbox, streams and backlog; one that moves between them may count twice."""
        return (
            (self.redis.queued if self.redis else 0)
            + (self.postgres.waiting if self.postgres else 0)
            + (self.outbox.jobs if self.outbox else 0)
        )

    @property
    def redis_place(self) -> str:
        """Where Redis is, without secrets."""
        return place(self.settings.redis_url.get_secret_value())

    @property
    def postgres_place(self) -> str:
        """Where Postgres is, without secrets."""
        return place(self.settings.database_url.get_secret_value())

    def age(self, moment: float | None) -> float | None:
        """Return the seconds since ``moment``."""
        return None if moment is None else max(0.0, self.now - moment)
