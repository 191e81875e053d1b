"""Delivery inside the test's own process, on real Valkey and Postgres, one holder at a time.

The API is a stand-in that the test programs. There are also holders in forked children, which send
to the sandbox and are killed and stopped.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import redis
import sqlalchemy as sa

from tests.support.waiting import wait_until
from trackrelay.operations.keys import shard_of
from trackrelay.worker.delivery import breaker, cycle, lease, sender
from trackrelay.worker.delivery.breaker import Breaker
from trackrelay.worker.delivery.cycle_parts import Rules
from trackrelay.worker.delivery.rate_limiter import GRACE_S, RateLimiter
from trackrelay.worker.delivery.sender import Sender
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.failpoints import _planned
from trackrelay.worker.quality.sent_memory import sent_memory
from trackrelay.worker.queue.redis_client import connect
from trackrelay.worker.resources import (
    Resources,
    ask_region,
    key_hash_secret,
    make_enforcer,
    make_observer,
)
from trackrelay.worker.settings import Settings, load
from trackrelay.worker.storage import shards
from trackrelay.worker.storage.blocklist import Blocklist
from trackrelay.worker.storage.engine import make_engine
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.telemetry.exemplars import ExemplarNotes
from trackrelay.worker.track_api.http_client import TooLateError, TrackApi
from trackrelay.worker.track_api.region import Verdict
from trackrelay.worker.track_api.request_builder import Request
from trackrelay.worker.track_api.responses import Answer, NoAnswer

SHARDS = 4
OK = Answer(200, b"{}")
BUSY = Answer(503, b"busy")

Document = dict[str, Any]


def refusal(message: str, status: int = 400) -> Answer:
    """A refusal of a whole request in the API's own shape."""
    return Answer(
        status,
        msgspec.json.encode({"errors": [{"reason": "invalid", "field": "x", "message": message}]}),
    )


@dataclass(frozen=True)
class Sent:
    """One request as the stand-in saw it."""

    path: str
    documents: list[Document]
    began: float
    ended: float
    ok: bool

    @property
    def labels(self) -> list[str]:
        """What it carried; see `label`."""
        return [label(document) for document in self.documents]


def label(document: Document) -> str:
    """Return an event's name, an attribute `label`, or the action and whose it is."""
    named = document.get("name") or (document.get("attributes") or {}).get("label")
    if named:
        return str(named)
    people = [
        document[part]
        for part in ("primary", "secondary", "identifiers", "person")
        if document.get(part)
    ]
    return " ".join(
        [document.get("action", "?"), *(str(value) for each in people for value in each.values())]
    )


@dataclass
class FakeApi:
    """Replaces the Track API: takes everything, except as `answers` says."""

    #: Gives the answer to a request, or None for a success.
    answers: Callable[[Request, list[Document]], Answer | NoAnswer | None] = (
        lambda request, documents: None
    )
    latency_s: float = 0.0
    base_url: str = "https://track.example.com"
    sent: list[Sent] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, request: Request, send_until: float = float("inf")) -> Answer | NoAnswer:
        """As `TrackApi.send`."""
        began = time.monotonic()
        if began > send_until:
            raise TooLateError
        document = msgspec.json.decode(request.body)
        documents = document["batch"] if request.kind == "batch" else [document]
        if self.latency_s:
            time.sleep(self.latency_s)
        answer = self.answers(request, documents) or _success(request)
        with self._lock:
            ok = isinstance(answer, Answer) and answer.status in (200, 204)
            self.sent.append(Sent(request.path, documents, began, time.monotonic(), ok))
        return answer

    @property
    def taken(self) -> list[str]:
        """The labels of everything taken, in the order of the answers."""
        return [each for sent in self.sent if sent.ok for each in sent.labels]


def _success(request: Request) -> Answer:
    return Answer(204, b"") if request.path.startswith("/api/v1/forms/") else OK


class Worker:
    """What one worker process has, in this one: `hold()` does what its deliver task does.

    Arguments:
        environment: its settings.
        api: stands in for the Track API; left out, it is the one in the settings.
        rules: instead of what the settings say of age and attempts.
    """

    def __init__(
        self, environment: dict[str, str], api: FakeApi | None = None, **rules: Any
    ) -> None:
        self.resources = _resources(load(environment), api, rules)
        self.redis = self.resources.redis
        self.breaker = self.resources.breaker
        self.api = api

    def run_shard(self, shard: int, slice_s: float = 3.0) -> None:
        """Hold a shard once."""
        lease.run_shard(shard, self.resources, slice_s)

    def work(self, times: int = 1, slice_s: float = 3.0) -> None:
        """Hold each shard in turn."""
        for _ in range(times):
            for shard in range(SHARDS):
                self.run_shard(shard, slice_s)

    def work_off(self, is_done: Callable[[], Any], timeout: float = 20.0) -> None:
        """Hold the shards again and again until `is_done()`."""

        def worked() -> Any:
            self.work()
            return is_done()

        wait_until(worked, timeout, "everything to be worked off")

    def close(self) -> None:
        """Close every connection."""
        self.resources.executor.shutdown()
        for each in (self.resources.observer, self.resources.plan):
            if each:
                each.flush()
        self.redis.close()
        self.resources.engine.dispose()


def _resources(configured: Settings, api: FakeApi | None, rules: dict[str, Any]) -> Resources:
    """Return stores as in production, but with the stand-in and short waits for locks."""
    client = connect(configured)
    engine = make_engine(configured)

    @sa.event.listens_for(engine, "connect")
    def _impatient(connection: Any, record: Any) -> None:
        connection.execute("SET lock_timeout = 300")
        connection.commit()

    timeout_s = configured.request_timeout.total_seconds()
    secrets = (configured.site_id.get_secret_value(), configured.track_api_key.get_secret_value())
    track: Any = api or TrackApi(configured.base_url, timeout_s, lambda: secrets)
    breakers = Breaker(client, probe_s=2 * timeout_s + GRACE_S)

    def on_recovery(family: Family | None) -> None:
        with engine.begin() as connection:
            shards.mark_delivery_resumed(connection, family)

    rate_limiter = RateLimiter(
        client, requests_per_second=configured.requests_per_second, timeout_s=timeout_s
    )
    account = (lambda: api.verdict) if api else (lambda: ask_region(track, configured))
    given = Rules(
        max_age_s=configured.max_age.total_seconds(),
        max_attempts=configured.max_attempts,
        merge_delay_s=configured.merge_delay.total_seconds(),
    )
    hasher = KeyHasher(key_hash_secret(configured, engine))
    return Resources(
        settings=configured,
        redis=client,
        engine=engine,
        api=track,
        breaker=breakers,
        sender=Sender(track, rate_limiter, breakers, account, on_recovery, configured.tracing),
        executor=ThreadPoolExecutor(16),
        hasher=hasher,
        blocklist=Blocklist(hasher),
        rules=replace(given, **rules),
        remember=sent_memory(configured, hasher),
        exemplars=ExemplarNotes(engine) if configured.tracing else None,
        observer=make_observer(configured, engine, hasher),
        plan=make_enforcer(engine),
    )


@contextmanager
def child_holding(environment: dict[str, str], shard: int, failpoints: str) -> Iterator[int]:
    """Start a child that holds a shard, with failpoints as in TRACKRELAY_FAILPOINT."""
    pid = os.fork()
    if pid == 0:
        try:
            cycle.failpoint = sender.failpoint = _planned(failpoints)
            # On a busy machine a cycle would end by its time before it comes to the failpoint.
            cycle.MAX_CYCLE_S = cycle.MAX_SINGLES_S = 60.0
            Worker(environment).run_shard(shard)
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        if state_of(pid) is not None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def state_of(pid: int) -> str | None:
    """The state of a child: `T` stopped, `S` or `R` at work, None when it has ended."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return None
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except (ChildProcessError, FileNotFoundError):
        return None


def end_of(pid: int, timeout: float = 15.0) -> None:
    """Wait for a child to end."""
    wait_until(lambda: state_of(pid) is None, timeout, "the child to end")


def hold_with_mortals(
    environment: dict[str, str],
    client: redis.Redis,
    shard: int,
    until: Callable[[], bool],
    most: int,
) -> None:
    """Let up to `most` children hold `shard`, one after the other, each until it ends."""
    for _ in range(most):
        if until():
            return
        with child_holding(environment, shard, "nowhere=kill") as pid:
            end_of(pid)
        expire_lease(client, shard)


def expire_lease(client: redis.Redis, shard: int) -> None:
    """What time does to the lease of a holder that was killed."""
    client.delete(f"trackrelay:{shard}:lease")


def make_due(engine: sa.Engine) -> None:
    """What time does to everything in the backlog that is first and waits for its moment."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trackrelay_backlog SET due_at = now() WHERE due_at > now()"
        )


def probe_now(client: redis.Redis) -> None:
    """What time does to breakers that are not closed."""
    breaker.probe_now(client)


def close_breakers(client: redis.Redis) -> None:
    """What a success of every family does to breakers."""
    for name in ("breaker", *(f"breaker:{family}" for family in Family)):
        if client.exists(f"trackrelay:{name}"):
            client.hset(f"trackrelay:{name}", mapping={"state": "closed", "recovered_ms": 1})
            client.delete(f"trackrelay:{name.replace('breaker', 'probe')}")


def shard_of_person(person: str) -> int:
    """Where a person's jobs are queued."""
    return shard_of(f"id:{person}", SHARDS)


def people_of(shard: int, count: int) -> list[str]:
    """Ids of people whose jobs are in one shard."""
    found = (f"p{number}" for number in range(1_000_000) if shard_of_person(f"p{number}") == shard)
    return [next(found) for _ in range(count)]
