"""Random stream entries between healthy ones, through the real decoder and delivery loop.

Redis and Postgres are real.
"""

from __future__ import annotations

import itertools
import logging
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psutil
import sqlalchemy as sa
import structlog

from tests.fuzz.mutations import TEXTS, encoded, mutated, shown, value
from tests.support import hostile_entries
from tests.support.databases import create_database, migrate
from tests.support.hostile_entries import Fields
from tests.support.in_process_worker import (
    BUSY,
    OK,
    SHARDS,
    FakeApi,
    Worker,
    close_breakers,
    make_due,
    people_of,
    refusal,
)
from trackrelay import operations
from trackrelay.operations.ids import new_id
from trackrelay.queue.job import encode_entry
from trackrelay.queue.redis_keys import LANES, more, stream
from trackrelay.worker.devstack.servers import PostgresProcess, ValkeyProcess
from trackrelay.worker.queue.bootstrap import migrate as migrate_queue
from trackrelay.worker.track_api.request_builder import Request
from trackrelay.worker.track_api.responses import Answer, NoAnswer

NAME = "entries"

#: Entries in a batch, and how many of them go before a healthy job.
BATCH = 2_000
BETWEEN = 10
#: Holds after which a batch must be settled. An entry is read ten times at most, and each hold
#: takes a few cycles.
MAX_HOLDS = 60
MAX_GROWTH_BYTES = 400_000_000

_OPERATIONS = (
    "person.event", "person.event", "person.identify", "person.merge", "person.delete",
    "anonymous.event", "form.submit", "delivery.metric", "delivery.unsubscribe", "segment.add",
    "segment.remove", "object.identify", "foo.bar",
)  # fmt: skip
_HEALTHY = re.compile(rb'"name":"healthy (\d+)"')
#: What a batch leaves in the backlog for good: jobs whose second key is in another shard, where
#: nobody wrote it.
_LEFT = sa.text(
    "SELECT count(*) FROM trackrelay_backlog WHERE key LIKE 'id:p%'"
    " OR (SELECT max(parts) FROM trackrelay_backlog) = 1"
)
_EMPTY = sa.text("TRUNCATE trackrelay_backlog, trackrelay_ledger, trackrelay_dead_letters")


class _Api(FakeApi):
    """Takes any bytes; refuses what is no JSON, as the real one. Knows healthy jobs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.taken_numbers: list[int] = []
        self.is_away = False
        self._words = itertools.count()

    def send(self, request: Request, send_until: float = float("inf")) -> Answer | NoAnswer:
        if self.is_away:
            return BUSY
        if b"1e400" in request.body or b"9" * 400 in request.body:
            # In other words each time: the same ones would stop delivery, as it should.
            return refusal(f"not JSON, {next(self._words)}")
        self.taken_numbers += [int(number) for number in _HEALTHY.findall(request.body)]
        return OK


@contextmanager
def servers() -> Iterator[dict[str, str]]:
    """Bring a Redis and a Postgres of their own; give a worker's settings."""
    with ValkeyProcess() as valkey, PostgresProcess(durable=False) as postgres:
        url = create_database(postgres, "fuzz")
        migrate(url)
        yield {
            "TRACKRELAY_REDIS_URL": valkey.url,
            "TRACKRELAY_DATABASE_URL": url,
            "CUSTOMERIO_TRACK_URL": "http://127.0.0.1:1",
            "CUSTOMERIO_SITE_ID": "site",
            "CUSTOMERIO_TRACK_API_KEY": "key",
        }


def run(
    rng: random.Random,
    more: Callable[[int], bool],
    *,
    environment: Mapping[str, str] | None = None,
    **context: Any,
) -> int:
    """Try entries while ``more(tried)`` is true; return how many.

    Args:
        environment: settings of a worker whose Redis and Postgres are set up and may be emptied.
            By default it starts its own.
    """
    if environment is None:
        with servers() as own:
            return run(rng, more, environment=own)
    api = _Api()
    settings = {
        **environment,
        "TRACKRELAY_MERGE_DELAY": "0s",
        "TRACKRELAY_REQUESTS_PER_SECOND": "1000",
    }
    with _quiet():
        worker = Worker(settings, api)
        try:
            migrate_queue(worker.resources.engine, worker.redis, SHARDS)
            return _run(rng, more, worker, api)
        finally:
            worker.close()


def _run(rng: random.Random, more: Callable[[int], bool], worker: Worker, api: _Api) -> int:
    process, tried, healthy = psutil.Process(), 0, itertools.count()
    start_bytes = 0
    while more(tried):
        batch = _Batch(rng, worker, api, healthy)
        batch.append()
        batch.settle()
        batch.check()
        tried += BATCH
        grown = process.memory_info().rss - (
            start_bytes := start_bytes or process.memory_info().rss
        )
        assert grown < MAX_GROWTH_BYTES, (
            f"memory has grown by {grown:,} bytes after {tried:,} entries"
        )
    return tried


class _Batch:
    """Some thousand entries of one shard's lane."""

    def __init__(
        self, rng: random.Random, worker: Worker, api: _Api, healthy: Iterator[int]
    ) -> None:
        self._rng, self._worker, self._api = rng, worker, api
        self._shard, self._lane = rng.randrange(SHARDS), rng.choice(LANES)
        self._people = people_of(self._shard, 5)
        self._healthy = healthy
        #: Which healthy jobs each person has, in order.
        self._expected: dict[str, list[int]] = {person: [] for person in self._people}

    def append(self) -> None:
        """Write the entries, as anybody can who reaches Redis."""
        name = stream(self._shard, self._lane)
        with self._worker.redis.pipeline(transaction=False) as pipeline:
            for number in range(BATCH):
                fields: Any = entry(self._rng)
                pipeline.xadd(name, fields)
                if number % BETWEEN == BETWEEN - 1:
                    healthy: Any = {"v": 1, "j": self._healthy_job()}
                    pipeline.xadd(name, healthy)
            pipeline.execute()

    def _healthy_job(self) -> bytes:
        person, number = self._rng.choice(self._people), next(self._healthy)
        self._expected[person].append(number)
        return encode_entry(operations.track(person, f"healthy {number}"))

    def settle(self) -> None:
        """Hold the shard until the batch is done; part of the batches go through an outage."""
        self._api.is_away = self._rng.random() < 0.3
        for hold in range(MAX_HOLDS):
            if hold == 3:
                self._api.is_away = False
            try:
                self._worker.run_shard(self._shard, slice_s=20.0 if not self._api.is_away else 1.0)
            except Exception as error:
                raise AssertionError(
                    f"{type(error).__name__}: {str(error)[:300]}; {self._where()}"
                ) from error
            if not self._api.is_away:
                close_breakers(self._worker.redis)
                make_due(self._worker.resources.engine)
            if hold >= 3 * self._api.is_away and self._is_settled():
                return
        raise AssertionError(f"not settled after {MAX_HOLDS} holds; {self._where()}")

    def _is_settled(self) -> bool:
        if self._worker.redis.xlen(stream(self._shard, self._lane)):
            return False
        with self._worker.resources.engine.connect() as connection:
            return not connection.execute(_LEFT).scalar()

    def _where(self) -> str:
        # The culprit is the first one that is still there, or near it.
        found: Any = self._worker.redis.xrange(stream(self._shard, self._lane), count=3)
        return f"shard {self._shard}, {self._lane}, from here on: {shown(found)}"

    def check(self) -> None:
        """Compare what arrived with what is healthy, then forget all of it."""
        whose = {number: person for person, numbers in self._expected.items() for number in numbers}
        arrived: dict[str, list[int]] = {person: [] for person in self._people}
        for number in self._api.taken_numbers:
            arrived[whose[number]].append(number)
        assert arrived == self._expected, (
            f"the healthy jobs of {self._people} did not arrive once, in order"
        )
        with self._worker.resources.engine.begin() as connection:
            crashed = connection.execute(
                sa.text("SELECT error FROM trackrelay_dead_letters WHERE reason = 'crashed'")
            ).all()
            assert not crashed, f"jobs died as crashed: {shown(crashed)}"
            connection.execute(_EMPTY)
        beyond = int(self._worker.redis.get(more(self._shard, self._lane)) or 0)
        assert beyond == 0, f"{beyond} jobs are counted beyond the entries of an empty stream"
        self._api.taken_numbers.clear()
        self._worker.redis.delete(*(f"trackrelay:{self._shard}:{lane}:handed" for lane in LANES))


# -- entries


def entry(rng: random.Random) -> Fields:
    """Return an entry that is anything but of a newer format, which is meant to halt its shard."""
    kind = rng.random()
    if kind < 0.3:
        fields: Fields = {"v": 1, "j": mutated(rng, _job_bytes(rng))}
    elif kind < 0.6:
        fields = {"v": 1, "j": encoded([_job(rng)])}
    elif kind < 0.75:
        fields = {"v": 1, "j": _job_bytes(rng, mutated(rng, _document(rng)))}
    elif kind < 0.8:
        fields = {"v": 1, "j": encoded([_job(rng) for _ in range(rng.randrange(4))])}
    elif kind < 0.9:
        fields = _odd_frame(rng)
    elif kind < 0.999:
        fields = {
            rng.randbytes(rng.randrange(5)): rng.randbytes(rng.randrange(30))
            for _ in range(rng.randrange(1, 5))
        }
    else:
        fields = rng.choice(_known_cases())
    return fields | {"v": 1} if _is_newer(fields) else fields


@lru_cache
def _known_cases() -> list[Fields]:
    return list(hostile_entries.all_cases().values())


def _is_newer(fields: Fields) -> bool:
    version = fields.get("v", fields.get(b"v", 0))
    digits = version if isinstance(version, bytes) else str(version).encode()
    return digits.isdigit() and len(digits) <= 4 and int(digits) > 1


def _odd_frame(rng: random.Random) -> Fields:
    version = rng.choice((b"1", b"1", b"", b"-1", b"x", b"00001", b"9" * 5_000, b"\xff"))
    count = rng.choice(
        (
            b"1",
            b"2",
            b"999",
            b"1000",
            b"inf",
            b"nan",
            b"1e308",
            b"-1",
            b"0",
            b"0x10",
            b"",
            b"1.5",
            b"\x00",
        )
    )
    fields: Fields = {b"v": version, b"j": _job_bytes(rng), b"n": count}
    order = rng.sample(list(fields), rng.randrange(1, 4))
    return {name: fields[name] for name in order} | (
        {rng.choice(TEXTS[1:5]): "x"} if rng.random() < 0.1 else {}
    )


def _job_bytes(rng: random.Random, document: bytes | None = None) -> bytes:
    head = b'{"id":"%s","operation":"%s","keys":["id:h%d"],"stamp":%s,"body":' % (
        new_id().encode(), rng.choice(_OPERATIONS).encode(), rng.randrange(300),
        rng.choice((b"true", b"false")),
    )  # fmt: skip
    return b"[%s%s}]" % (head, _document(rng) if document is None else document)


def _document(rng: random.Random) -> bytes:
    kind = rng.random()
    if kind < 0.5:
        return (
            b'{"type":"person","identifiers":{"id":"h"},"action":"event","name":"x",'
            b'"attributes":{"a":[1.5,null,"y"]}}'
        )
    if kind < 0.7:
        return (
            b'{"type":"segment","person":{"id":"h"},"action":"add","identifiers":{"segment_id":7}}'
        )
    if kind < 0.8:
        return (
            b'{"identifiers":{"form_id":"f","id":"d"},"person":{"email":"h@example.com"},'
            b'"attributes":{"a":"b"},"name":"opened"}'
        )
    return encoded(value(rng))


def _job(rng: random.Random) -> dict[str, Any]:
    job = hostile_entries.job(keys=[f"id:h{rng.randrange(300)}"], operation=rng.choice(_OPERATIONS))
    for _ in range(rng.choice((1, 1, 2))):
        name = rng.choice(
            (
                "id",
                "operation",
                "keys",
                "body",
                "stamp",
                "source",
                "idempotency_key",
                "trace",
                "workspace",
                "accepted_ms",
            )
        )
        job[name] = value(rng)
    if rng.random() < 0.3:
        job["keys"] = [rng.choice(TEXTS) for _ in range(rng.randrange(4))]
    return job


@contextmanager
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
