"""Where the jobs are, read from Redis, Postgres and the sandbox without the worker's code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import redis
import sqlalchemy as sa

from trackrelay.sandbox.client import Effect, SandboxClient

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Dead:
    """A dead letter."""

    id: str
    reason: str
    error: str | None
    state: str
    died_at: float


@dataclass(frozen=True, slots=True)
class Stores:
    """What is where."""

    #: Ids of jobs in an outbox that were not relayed, or are kept until they have arrived.
    outbox: frozenset[str]
    #: Ids of jobs in the streams.
    stream: frozenset[str]
    #: Why each job in the backlog waits, by id.
    backlog: dict[str, str]
    #: Not the delivered and discarded ones.
    dead: dict[str, Dead]
    #: When each job was delivered, unix seconds, by id.
    ledger: dict[str, float]


def look(client: redis.Redis, engine: sa.Engine, application: sa.Engine | None = None) -> Stores:
    """Look everywhere, in the direction in which jobs move, so that each is seen at least once.

    Args:
        application: the database with the outbox, if there is one.
    """
    outbox = frozenset(_in_outbox(application)) if application else frozenset()
    stream = frozenset(_in_streams(client))
    with engine.connect() as connection:
        dead = _dead(connection)
        rows = connection.execute(sa.text("SELECT job_id, reason FROM trackrelay_backlog"))
        backlog = {str(row.job_id): str(row.reason) for row in rows}
        # Again: a job may have died while the backlog was read.
        dead |= _dead(connection)
        ledger = {
            row.id: float(row.at)
            for row in connection.execute(
                sa.text("SELECT id, extract(epoch FROM delivered_at) AS at FROM trackrelay_ledger")
            )
        }
    return Stores(outbox, stream, backlog, dead, ledger)


def waiting(
    client: redis.Redis, engine: sa.Engine, application: sa.Engine | None = None
) -> tuple[int, int, int]:
    """How much is in the outbox, in the streams, and in the backlog."""
    rows = len(_in_outbox(application)) if application else 0
    entries = sum(int(client.xlen(name)) for name in _streams(client))
    with engine.connect() as connection:
        return (
            rows,
            entries,
            int(
                connection.execute(sa.text("SELECT count(*) FROM trackrelay_backlog")).scalar_one()
            ),
        )


def arrivals(client: SandboxClient) -> list[Effect]:
    """Everything the sandbox accepted, in order, what came to nothing included."""
    return list(client.effects(ignored=True))


def attributes(client: SandboxClient) -> dict[str, object]:
    """The number that each person's last identify left at Customer.io, by id."""
    found: dict[str, object] = {}
    for person in client.people():
        number = person["attributes"].get("n")
        if (name := person["identifiers"].get("id")) is not None:
            found[f"id:{name}"] = number
    return found


_COUNTED = sa.text("""
    SELECT (SELECT coalesce(sum(value), 0) FROM trackrelay_counters WHERE name = 'delivered'),
        (SELECT count(*) FROM trackrelay_ledger WHERE outcome = 'delivered'),
        (SELECT coalesce(sum(value), 0) FROM trackrelay_counters WHERE name = 'died'),
        (SELECT count(*) FROM trackrelay_dead_letters),
        EXISTS (SELECT 1 FROM trackrelay_dead_letters
                WHERE jsonb_path_exists(history, '$[*] ? (@.what == "replayed")'))
""")


def miscounted(engine: sa.Engine) -> list[str]:
    """Where the counters disagree with ledger and dead letters: whatever was broken, nowhere."""
    with engine.connect() as connection:
        delivered, in_ledger, died, letters, replayed = connection.execute(_COUNTED).one()
    problems = []
    if delivered != in_ledger:
        problems.append(f"{delivered} delivered by the counters, {in_ledger} in the ledger")
    # A letter that is replayed may die again.
    if died < letters or (died > letters and not replayed):
        problems.append(f"{died} died by the counters, {letters} dead letters")
    return problems


def failed_attempts(engine: sa.Engine) -> int:
    """Return how many attempts the ledger counts of delivered jobs, beside those that succeeded."""
    with engine.connect() as connection:
        counted = connection.execute(
            sa.text("SELECT coalesce(sum(attempts - 1), 0) FROM trackrelay_ledger")
        )
        return int(counted.scalar_one())


def _in_outbox(application: sa.Engine) -> list[str]:
    with application.connect() as connection:
        entries = connection.execute(sa.text("SELECT entry FROM trackrelay_outbox")).scalars().all()
    # An event's companion travels in its row.
    return [job["id"] for entry in entries for job in _decode(entry)]


def _streams(client: redis.Redis) -> list[bytes]:
    return list(client.scan_iter("trackrelay:*", count=1000, _type="stream"))


def _in_streams(client: redis.Redis) -> list[str]:
    ids: list[str] = []
    for name in _streams(client):
        entries: Any = client.xrange(name)
        for _, fields in entries:
            try:
                ids += [job["id"] for job in _decode(fields[b"j"])]
            except (msgspec.DecodeError, KeyError, TypeError, RecursionError):
                continue
    return ids


def _dead(connection: sa.Connection) -> dict[str, Dead]:
    rows = connection.execute(
        sa.text("""
            SELECT job_id, reason, error, state, extract(epoch FROM died_at) AS died_at
            FROM trackrelay_dead_letters WHERE state IN ('open', 'replaying')
        """)
    )
    return {
        row.job_id: Dead(row.job_id, row.reason, row.error, row.state, float(row.died_at))
        for row in rows
    }
