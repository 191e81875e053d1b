"""What a scenario runs on: servers, workers, producers, and how the stack is set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Pool = Literal["prefork", "threads"]


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """One worker."""

    pool: Pool
    concurrency: int
    #: What its failpoints do (see `worker/failpoints.py`); empty: nothing.
    failpoint: str = ""
    #: Further modules that it imports.
    include: tuple[str, ...] = ()


#: Both pools, always.
BOTH_POOLS = (WorkerPlan("prefork", 2), WorkerPlan("threads", 4))


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """The servers and the workers."""

    workers: tuple[WorkerPlan, ...] = BOTH_POOLS
    beats: int = 1
    #: `trackrelay relay` processes; if there are any, the workers do not relay.
    relays: int = 0
    shards: int = 4
    #: Settings of Valkey beyond the usual ones (append-only file, written out every second).
    redis: Mapping[str, str] = field(default_factory=dict)
    postgres: Mapping[str, str] = field(default_factory=dict)
    #: Fields of `SandboxOptions`.
    sandbox: Mapping[str, Any] = field(default_factory=dict)
    #: Whether Redis has a replica, and three Sentinels watch both.
    sentinels: bool = False
    #: Whether Postgres has a standby.
    standby: Literal["", "synchronous", "asynchronous"] = ""
    #: Whether connections to Redis, or Postgres, go through a proxy that can break them.
    redis_proxy: bool = False
    postgres_proxy: bool = False
    #: Whether the workers reach the Track API through a proxy that can be hostile (see
    #: `hostile_front.py`).
    hostile_front: bool = False
    #: Whether the workers read the Track API key from a file.
    api_key_file: bool = False
    #: Further modules that the workers import.
    include: tuple[str, ...] = ()
    #: The workers' settings beyond the usual ones.
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPlan:
    """The producers."""

    processes: int = 2
    mix: str = "mixed"
    #: Calls a second between them; None: what the number of jobs asks for.
    rate: float | None = None
    #: The database of the outbox, if producers write to one: trackrelay's own, or another.
    outbox: Literal["", "same", "other"] = ""
    #: Whether they call the queue, and write to the outbox only what it does not take.
    fallback: bool = False
    #: Seconds by which each process's clock is wrong, in turn; and by which it jumps.
    clocks_off_s: tuple[float, ...] = (0.0,)
    clock_jumps_s: float = 0.0
    max_queue_length: int = 1_000_000
    enqueue_timeout: float = 1.0
    #: How many replicas must have a job before its call returns.
    wait_replicas: int = 0
