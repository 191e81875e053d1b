"""A holder whose process can die, fall asleep or lose a store at every failpoint.

All in one thread, with clocks that the test sets: the same plan always takes the same steps.
"""

import threading
import time as clocks
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest
import redis
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from tests.support.in_process_worker import Worker
from tests.support.waiting import patient
from trackrelay.worker.delivery import (
    breaker,
    cycle,
    intake,
    lease,
    outcomes,
    rate_limiter,
    sender,
    shard_queue,
)
from trackrelay.worker.delivery.sender import Sender
from trackrelay.worker.resources import Resources
from trackrelay.worker.storage.stored_job import Job

#: Every failpoint of a cycle, in the order of the harness.
POINTS = (
    "after_read",
    "before_send",
    "after_send",
    "before_settle",
    "before_commit",
    "after_settle",
    "after_acknowledge",
)
#: Longer than any test takes: things expire only when the test lets them.
LONG_MS = 3_600_000


class Killed(BaseException):
    """Simulates SIGKILL: from here on the process uses no store."""


@dataclass(frozen=True)
class Fault:
    """What happens to a holder, where, and the how manieth time that it gets there."""

    what: Literal["killed", "asleep", "no postgres", "no redis"]
    point: str
    nth: int = 1


@dataclass(frozen=True)
class Plan:
    """How a holder fares: what it is answered, how much it takes, what happens to it."""

    #: Answers to its requests in turn; after them, and for "fine", what their jobs deserve.
    answers: tuple[str, ...] = ()
    fault: Fault | None = None
    cycles: int = 2
    #: Jobs that a cycle takes at most.
    most: int = 1000
    #: Requests, or waves of them, that a cycle has time for.
    patience: int = 1000


@dataclass
class _Here(threading.local):
    """What is true of the process that this thread plays."""

    plan: Plan = field(default_factory=Plan)
    answers: list[str] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    dead: bool = False
    slept_s: float = 0.0
    #: Called where it falls asleep; returns when it wakes up.
    sleep: Callable[[], None] | None = None


here = _Here()


def reach(point: str) -> None:
    """Replaces `trackrelay.worker.failpoints.failpoint`."""
    here.seen[point] += 1
    fault = here.plan.fault
    if fault is None or (fault.point, fault.nth) != (point, here.seen[point]):
        return
    match fault.what:
        case "killed":
            here.dead = True
            raise Killed(point)
        case "no postgres":
            raise OperationalError(
                "", {}, Exception("the server closed the connection unexpectedly")
            )
        case "no redis":
            raise redis.ConnectionError("away")
        case "asleep":
            assert here.sleep is not None
            here.sleep()


class Clock:
    """The clock of a process: it may have slept."""

    @staticmethod
    def monotonic() -> float:
        """As `time.monotonic`."""
        return clocks.monotonic() + here.slept_s

    time = staticmethod(clocks.time)
    sleep = staticmethod(clocks.sleep)


class CountingClock(Clock):
    """A clock that advances by a second each time a holder reads it."""

    def __init__(self) -> None:
        self._looks = 0

    def monotonic(self) -> float:  # type: ignore[override]
        """Seconds, or looks."""
        self._looks += 1
        return self._looks + here.slept_s


class Inline(Executor):
    """Sends one request after the other."""

    def submit(self, call: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As `Executor.submit`, done at once."""
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


@contextmanager
def played() -> Iterator[None]:
    """The delivery loop with failpoints, clocks and randomness that the test controls."""
    send = Sender.send

    def watched(self: Sender, packed: Any, *args: Any) -> Any:
        here.jobs = list(packed.jobs)
        return send(self, packed, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sender, "send", watched)
        patch.setattr(cycle, "failpoint", reach)
        patch.setattr(sender, "failpoint", reach)
        patch.setattr(sender, "time", Clock)
        patch.setattr(rate_limiter, "time", Clock)
        patch.setattr(outcomes, "full_jitter", lambda *_, **__: LONG_MS / 1000)
        patch.setattr(breaker, "BASE_MS", LONG_MS)
        patch.setattr(breaker, "CAP_MS", LONG_MS)
        patch.setattr(breaker, "HALTED_MS", LONG_MS)
        patch.setattr(shard_queue, "LEASE_MS", LONG_MS)
        yield


def mortal(worker: Worker) -> Resources:
    """What `worker` has, so that it is out of reach for a process that was killed."""
    pool, engine = worker.redis.connection_pool, worker.resources.engine
    connect = pool.get_connection

    def get_connection(*args: Any, **options: Any) -> Any:
        if here.dead:
            raise redis.ConnectionError("this process is dead")
        return connect(*args, **options)

    pool.get_connection = get_connection  # type: ignore[method-assign]

    @sa.event.listens_for(engine, "before_cursor_execute")
    def _refuse_the_dead(*_: Any) -> None:
        if here.dead:
            raise Killed

    @sa.event.listens_for(engine, "connect")
    def _impatient(connection: Any, record: Any) -> None:
        connection.execute("SET lock_timeout = 50")
        connection.commit()

    worker.resources.sender.rate_limiter._lease_ms = LONG_MS
    worker.resources.sender.rate_limiter._rate = 1_000_000.0
    worker.resources.breaker._probe_ms = LONG_MS
    return replace(worker.resources, executor=Inline())


def hold(resources: Resources, shard: int, plan: Plan) -> str:
    """Hold a shard as `plan` says. Return ``well``, or what went wrong."""
    here.plan, here.answers, here.dead, here.slept_s = plan, list(plan.answers), False, 0.0
    here.seen.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lease, "time", CountingClock())
        patch.setattr(cycle, "time", CountingClock())
        patch.setattr(intake, "time", CountingClock())
        patch.setattr(intake, "MAX_CYCLE_JOBS", plan.most)
        patch.setattr(cycle, "MAX_CYCLE_S", float(plan.patience))
        patch.setattr(cycle, "MAX_SINGLES_S", float(plan.patience))
        try:
            lease.run_shard(shard, resources, plan.cycles + 0.5)
        except (Killed, OperationalError, redis.RedisError) as error:
            return type(error).__name__
        finally:
            here.plan, here.dead, here.slept_s = Plan(), False, 0.0
    return "well"


class Sleeper:
    """A holder in its own thread, which falls asleep and is woken."""

    def __init__(self, resources: Resources, shard: int, plan: Plan) -> None:
        self.shard = shard
        self._wake, self._still = threading.Event(), threading.Event()
        self.asleep = False
        self._lease_ran_out = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(resources, plan), daemon=True)
        self._thread.start()
        assert self._still.wait(patient(30)), "the holder neither slept nor ended"

    def _run(self, resources: Resources, plan: Plan) -> None:
        here.sleep = self._sleep
        try:
            hold(resources, self.shard, plan)
        except BaseException as error:
            self._error = error
        finally:
            self._still.set()

    def _sleep(self) -> None:
        self.asleep = True
        self._still.set()
        self._wake.wait(patient(120))
        self.asleep = False
        if self._lease_ran_out:
            here.slept_s += LONG_MS / 1000

    def lease_ran_out(self) -> None:
        """It has slept for longer than its lease."""
        self._lease_ran_out = True

    def wake(self) -> None:
        """Let it continue to its end."""
        self._wake.set()
        self._thread.join(patient(30))
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error
