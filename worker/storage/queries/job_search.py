"""Where jobs are in Postgres, and what happened to them: by id, by idempotency key, by key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

Place = Literal["outbox", "stream", "backlog", "ledger", "dead_letters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One place a job was found in. Times are unix seconds; what a place does not know is None."""

    place: Place
    id: str
    operation: str
    #: As stored: those made of emails, phones and anonymous ids are hashes.
    keys: tuple[str, ...]
    enqueued_at: float
    source: str | None = None
    idempotency_key: str | None = None
    #: When it was delivered, died, or came into the backlog.
    at: float | None = None
    #: Why it waits, or what it died of.
    reason: str | None = None
    error: str | None = None
    field: str | None = None
    status: int | None = None
    attempts: int = 0
    #: Of a dead letter: open, replaying, delivered, discarded.
    state: str | None = None
    shard: int | None = None
    lane: str | None = None
    #: When it is tried next, if that is known.
    due_at: float | None = None
    #: How many jobs are before it: of its key in the backlog, of all keys in a stream.
    ahead: int | None = None
    #: How often a worker has taken it from the stream.
    deliveries: int = 0
    history: tuple[dict[str, Any], ...] = ()

    @property
    def is_first(self) -> bool:
        """Whether it waits in the backlog, and the others of its key for it."""
        return self.place == "backlog" and not self.ahead


@dataclass(slots=True)
class Results:
    """What was found in Postgres."""

    matches: list[Match] = field(default_factory=list)
    #: How many there are in each place, more than were asked for included.
    totals: dict[Place, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to look for: any of these."""

    ids: tuple[str, ...] = ()
    #: As stored.
    keys: tuple[str, ...] = ()
    idempotency_key: str | None = None


_MATCH = """({id} = ANY(CAST(:ids AS text[])) OR {keys}
    OR idempotency_key = CAST(:idempotency_key AS text))"""
_TWO_KEYS = "key = ANY(CAST(:keys AS text[])) OR other_key = ANY(CAST(:keys AS text[]))"

_LEDGER = sa.text(f"""
    SELECT id, operation, key, other_key, source, idempotency_key, attempts,
        extract(epoch FROM enqueued_at) AS enqueued_at, extract(epoch FROM delivered_at) AS at,
        count(*) OVER () AS total
    FROM trackrelay_ledger WHERE {_MATCH.format(id="id", keys=_TWO_KEYS)}
    ORDER BY delivered_at DESC, id DESC LIMIT :limit
""")

_DEAD_LETTERS = sa.text(f"""
    SELECT job_id AS id, operation, key, other_key, source, idempotency_key, lane, reason, error, field, status, attempts,
        state, extract(epoch FROM enqueued_at) AS enqueued_at, extract(epoch FROM died_at) AS at, history,
        count(*) OVER () AS total
    FROM trackrelay_dead_letters WHERE {_MATCH.format(id="job_id", keys=_TWO_KEYS)}
    ORDER BY died_at DESC, job_id DESC LIMIT :limit
""")

# The latest, and what all the others of a key wait for, however old it is.
_BACKLOG = sa.text(f"""
    WITH matched AS (
        SELECT job_id, key, position, due_at, enqueued_at FROM trackrelay_backlog
        WHERE {_MATCH.format(id="job_id", keys="key = ANY(CAST(:keys AS text[]))")}),
    chosen AS (
        (SELECT job_id FROM matched GROUP BY job_id ORDER BY max(enqueued_at) DESC, job_id DESC LIMIT :limit)
        UNION (SELECT job_id FROM matched WHERE due_at IS NOT NULL ORDER BY position LIMIT :limit))
    SELECT DISTINCT ON (b.job_id) b.job_id AS id, operation, keys, shard, lane, source, idempotency_key, reason, error, status,
        attempts, extract(epoch FROM b.enqueued_at) AS enqueued_at, extract(epoch FROM since) AS at,
        extract(epoch FROM (SELECT max(o.due_at) FROM trackrelay_backlog o WHERE o.job_id = b.job_id
            HAVING count(o.due_at) = max(o.parts))) AS due_at,
        (SELECT count(*) FROM trackrelay_backlog f
         WHERE f.shard = b.shard AND f.lane = b.lane AND f.key = b.key AND f.position < b.position) AS ahead,
        history, (SELECT count(DISTINCT job_id) FROM matched) AS total
    FROM chosen JOIN matched m USING (job_id) JOIN trackrelay_backlog b ON b.job_id = m.job_id AND b.key = m.key
    ORDER BY b.job_id, sends DESC
""")


def search(connection: sa.Connection, wanted: Wanted, limit: int) -> Results:
    """Return what matches in backlog, ledger and dead letters: the latest ``limit`` of each.

    Of the backlog, also what is first of its key, however old it is.
    """
    values = {
        "ids": list(wanted.ids),
        "keys": list(wanted.keys),
        "idempotency_key": wanted.idempotency_key,
        "limit": limit,
    }
    places: tuple[tuple[Place, sa.TextClause, Callable[[Any], Match]], ...] = (
        ("backlog", _BACKLOG, _waits),
        ("ledger", _LEDGER, _delivered),
        ("dead_letters", _DEAD_LETTERS, _dead),
    )
    results = Results()
    for place, statement, match_of in places:
        rows = connection.execute(statement, values).all()
        results.totals[place] = rows[0].total if rows else 0
        results.matches += map(match_of, rows)
    return results


def _keys(row: Any) -> tuple[str, ...]:
    return (row.key, row.other_key) if row.other_key else (row.key,)


def _delivered(row: Any) -> Match:
    return Match(
        place="ledger",
        id=row.id,
        operation=row.operation,
        keys=_keys(row),
        enqueued_at=float(row.enqueued_at),
        source=row.source,
        idempotency_key=row.idempotency_key,
        at=float(row.at),
        attempts=row.attempts,
    )


def _dead(row: Any) -> Match:
    return Match(
        place="dead_letters",
        id=row.id,
        operation=row.operation,
        keys=_keys(row),
        enqueued_at=float(row.enqueued_at),
        source=row.source,
        idempotency_key=row.idempotency_key,
        at=float(row.at),
        reason=row.reason,
        error=row.error,
        field=row.field,
        status=row.status,
        attempts=row.attempts,
        state=row.state,
        lane=row.lane,
        history=tuple(row.history),
    )


def _waits(row: Any) -> Match:
    return Match(
        place="backlog",
        id=row.id,
        operation=row.operation,
        keys=tuple(row.keys),
        enqueued_at=float(row.enqueued_at),
        source=row.source,
        idempotency_key=row.idempotency_key,
        at=float(row.at),
        reason=row.reason,
        error=row.error,
        status=row.status,
        attempts=row.attempts,
        shard=row.shard,
        lane=row.lane,
        due_at=None if row.due_at is None else float(row.due_at),
        ahead=row.ahead,
        history=tuple(row.history),
    )
