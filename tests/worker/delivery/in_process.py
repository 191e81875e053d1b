"""Delivery inside the test's own process: a holder at a time, on real Valkey and Postgres, against the sandbox or a stand-in
that the test programs. And holders in forked children, to be killed and stopped where it hurts."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import sqlalchemy as sa

from producers.keys import shard_of
from worker.customerio.client import TooLate, TrackApi
from worker.customerio.outcomes import Answer, NoAnswer
from worker.customerio.region import Verdict
from worker.customerio.requests import Request
from worker.delivery import holding, loop, scripts, sending
from worker.delivery.breaker import Breaker
from worker.delivery.loop import Rules
from worker.delivery.pace import GRACE_S, Pace
from worker.delivery.sending import Sender
from worker.failpoints import _planned
from worker.keys import KeyHasher
from worker.redis_client import connect
from worker.resources import Resources, ask_region
from worker.settings import Settings, load
from worker.store import shards
from worker.store.engine import make_engine

OK = Answer(200, b"{}")
TROUBLE = Answer(503, b"busy")


def refusal(message: str, status: int = 400) -> Answer:
    """A refusal in the API's own shape."""
    return Answer(status, msgspec.json.encode({"errors": [{"reason": "invalid", "field": "x", "message": message}]}))


@dataclass(frozen=True)
class Sent:
    """One request as the stand-in saw it."""

    path: str
    operations: list[dict[str, Any]]
    began: float
    ended: float
    ok: bool

    @property
    def names(self) -> list[str]:
        """The operations by their event's name, or else by their action."""
        return [operation.get("name") or operation.get("action") or "?" for operation in self.operations]


@dataclass
class FakeApi:
    """Stands in for the Track API: takes everything, unless `answers` says otherwise."""

    #: Gives the answer to a request, or None for a plain 200.
    answers: Callable[[Request, list[dict[str, Any]]], Answer | NoAnswer | None] = lambda request, operations: None
    latency_s: float = 0.0
    sent: list[Sent] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, request: Request, send_until: float = float("inf")) -> Answer | NoAnswer:
        began = time.monotonic()
        if began > send_until:
            raise TooLate
        operations = operations_of(request)
        if self.latency_s:
            time.sleep(self.latency_s)
        answer = self.answers(request, operations) or self._success(request)
        with self._lock:
            ok = isinstance(answer, Answer) and answer.status in (200, 204, 207)
            self.sent.append(Sent(request.path, operations, began, time.monotonic(), ok))
        return answer

    @property
    def delivered(self) -> list[str]:
        """The names of everything taken, in the order in which the answers were given."""
        return [name for sent in self.sent if sent.ok for name in sent.names]

    @staticmethod
    def _success(request: Request) -> Answer:
        return Answer(204, b"") if request.path.startswith("/api/v1/forms/") else OK


def operations_of(request: Request) -> list[dict[str, Any]]:
    """What a request carries."""
    document = msgspec.json.decode(request.body)
    return list(document["batch"]) if request.kind == "batch" else [document]


class Worker:
    """What one worker process has, in this one: `hold()` does what its deliver task does."""

    def __init__(self, environment: dict[str, str], api: FakeApi | None = None, **rules: Any) -> None:
        configured = load(environment)
        self.api = api
        self.resources = make_resources(configured, api, **rules)

    def hold(self, shard: int, slice_s: float = 3.0) -> None:
        """Hold a shard once, as the deliver task does."""
        holding.hold(shard, self.resources, slice_s)

    def work(self, rounds: int = 1, slice_s: float = 3.0) -> None:
        """Hold each shard in turn, so many times."""
        count = int(self.resources.redis.hget("trackrelay:config", "shards") or 0)
        for _ in range(rounds):
            for shard in range(count):
                self.hold(shard, slice_s)

    def close(self) -> None:
        """Close every connection."""
        self.resources.redis.close()
        self.resources.engine.dispose()
        self.resources.executor.shutdown()


def make_resources(configured: Settings, api: FakeApi | None, lock_timeout_ms: int = 2_000, **rules: Any) -> Resources:
    """As `worker.resources` makes them, but for the settings given and, if there is one, the stand-in."""
    client = connect(configured)
    engine = make_engine(configured)

    @sa.event.listens_for(engine, "connect")
    def _impatient(connection: Any, record: Any) -> None:
        connection.execute(f"SET lock_timeout = {lock_timeout_ms}")
        connection.commit()

    timeout_s = configured.request_timeout.total_seconds()
    track = api or TrackApi(
        configured.base_url,
        timeout_s,
        lambda: (configured.site_id.get_secret_value(), configured.track_api_key.get_secret_value()),
    )
    breaker = Breaker(client, probe_s=2 * timeout_s + GRACE_S)

    def account() -> Verdict:
        return api.verdict if api else ask_region(track, configured)  # type: ignore[arg-type]

    def on_recovery() -> None:
        with engine.begin() as connection:
            shards.possible_again(connection)

    pace = Pace(client, requests_per_second=configured.requests_per_second, timeout_s=timeout_s)
    given = Rules(
        max_age_s=configured.max_age.total_seconds(),
        max_attempts=configured.max_attempts,
        merge_delay_s=configured.merge_delay.total_seconds(),
    )
    return Resources(
        settings=configured,
        redis=client,
        engine=engine,
        api=track,  # type: ignore[arg-type]
        breaker=breaker,
        sender=Sender(track, pace, breaker, account, on_recovery),  # type: ignore[arg-type]
        executor=ThreadPoolExecutor(16),
        hasher=KeyHasher(b"a secret of the tests"),
        rules=replace(given, **rules),
    )


@contextmanager
def child_holder(environment: dict[str, str], shard: int, plan: str, slice_s: float = 3.0) -> Iterator[int]:
    """Hold a shard in a forked child, with failpoints as `plan` says; gives its pid, and kills it in the end."""
    pid = os.fork()
    if pid == 0:
        try:
            loop.failpoint = sending.failpoint = _planned(plan)
            Worker(environment).hold(shard, slice_s)
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def state_of(pid: int) -> str:
    """The state of a child: `T` stopped, `Z` ended, `R` and `S` at work."""
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def expire_lease(worker: Worker, shard: int) -> None:
    """What time does to the lease of a holder that shows no sign of life."""
    worker.resources.redis.delete(f"trackrelay:{shard}:lease")


def people(shards: int, shard: int, count: int, prefix: str = "p") -> list[str]:
    """Ids of people whose key falls in a shard."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        if shard_of(f"id:{prefix}{number}", shards) == shard:
            found.append(f"{prefix}{number}")
        number += 1
    return found


def make_due(engine: sa.Engine) -> None:
    """What time does to everything that waits for a moment."""
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trackrelay_backlog SET due_at = now() WHERE due_at IS NOT NULL")


def close_breaker(client: Any) -> None:
    """Forget that anything failed."""
    client.delete("trackrelay:breaker", "trackrelay:probe", "trackrelay:budget")


def lease_ms(client: Any, shard: int) -> int:
    """What is left of a shard's lease."""
    return int(client.pttl(f"trackrelay:{shard}:lease"))


__all__ = [
    "OK", "TROUBLE", "FakeApi", "Sent", "Worker", "child_holder", "close_breaker", "expire_lease", "lease_ms", "make_due",
    "make_resources", "operations_of", "people", "refusal", "scripts", "state_of",
]  # fmt: skip


def names(sent: Sequence[Sent]) -> list[list[str]]:
    """What each request carried."""
    return [each.names for each in sent]
