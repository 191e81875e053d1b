"""Find jobs in Postgres: by id, idempotency key or key, and the list of the backlog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import sqlalchemy as sa

from trackrelay.queue.redis_keys import LANES
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.storage.columns import ColumnSet
from trackrelay.worker.storage.sql_files import sql
from trackrelay.worker.storage.tables import BACKLOG, DEAD_LETTERS, LEDGER

from .job_conditions import any_of, email, event_name

Place = Literal["outbox", "stream", "backlog", "ledger", "dead_letters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A job in one place. Times are unix seconds. A value that the place does not know is None."""

    place: Place
    id: str
    operation: str
    #: As stored: keys made of emails, phones and anonymous ids are hashes.
    keys: tuple[str, ...]
    enqueued_at: float
    source: str | None = None
    idempotency_key: str | None = None
    #: When it was delivered, became a dead letter, or came into the backlog.
    at: float | None = None
    #: Why it waits, or why it is a dead letter.
    reason: str | None = None
    error: str | None = None
    field: str | None = None
    status: int | None = None
    attempts: int = 0
    #: In the ledger: delivered, blocked, erased.
    outcome: str | None = None
    #: Of a dead letter: open, replaying, delivered, discarded.
    state: str | None = None
    shard: int | None = None
    lane: str | None = None
    #: When it is tried next, if that is known.
    due_at: float | None = None
    #: How many jobs come before it: of its key in the backlog, of all keys in a stream.
    ahead: int | None = None
    #: How often a worker has read it from the stream.
    deliveries: int = 0
    history: tuple[dict[str, Any], ...] = ()
    #: What the tracking plan fixed in it.
    plan_note: str | None = None

    @property
    def is_first(self) -> bool:
        """Whether it is the job in the backlog for which the others of its key wait."""
        return self.place == "backlog" and not self.ahead


@dataclass(slots=True)
class Results:
    """The matches in Postgres."""

    matches: list[Match] = field(default_factory=list)
    #: How many there are in each place, including those beyond the limit.
    totals: dict[Place, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery:
    """What to search for: a job that matches any of these."""

    ids: tuple[str, ...] = ()
    #: As stored.
    keys: tuple[str, ...] = ()
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogFilters:
    """Which jobs of the backlog to list. An empty filter allows any."""

    reasons: Sequence[str] = ()
    operations: Sequence[str] = ()
    names: Sequence[str] = ()
    emails: Sequence[str] = ()
    #: As stored.
    keys: Sequence[str] = ()
    sources: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingJob:
    """One job in the backlog. All times are unix seconds."""

    id: str
    operation: str
    #: The name of an event, page or screen.
    name: str | None
    #: As stored.
    keys: tuple[str, ...]
    source: str | None
    idempotency_key: str | None
    shard: int
    lane: str
    reason: str
    error: str | None
    attempts: int
    enqueued_at: float
    #: When it came into the backlog.
    since: float
    #: When it is tried next; None while an earlier job of its key waits.
    due_at: float | None


#: The SQLSTATE of a statement that took too long.
_CANCELLED = "57014"

_JOB = ("operation", "source", "idempotency_key", "attempts", "enqueued_at")
_DELIVERED = ("id", *_JOB, "delivered_at", "outcome", "plan_note")
_DEAD = (
    "job_id", *_JOB, "lane", "reason", "error", "field", "status", "state", "died_at", "history",
    "plan_note",
)  # fmt: skip
_LISTED = ("job_id", *_JOB, "keys", "shard", "lane", "reason", "error", "since")
_WAITING = (*_LISTED, "status", "history", "plan_note")

# A job with two keys is due when both of its rows are.
_DUE_AT = """CAST(extract(epoch FROM (
    SELECT max(o.due_at) FROM trackrelay_backlog o WHERE o.job_id = b.job_id
    HAVING count(o.due_at) = max(o.parts))) AS float8)"""


def _matches(id_column: str, *key_columns: str) -> str:
    keys = " OR ".join(f"{each} = ANY(CAST(:keys AS text[]))" for each in key_columns)
    return (
        f"({id_column} = ANY(CAST(:ids AS text[])) OR {keys}"
        " OR idempotency_key = CAST(:idempotency_key AS text))"
    )


def _latest(table: ColumnSet, columns: Sequence[str], at: str) -> sa.TextClause:
    return sa.text(f"""
        SELECT {table.select(*columns)}, key, other_key, count(*) OVER () AS total
        FROM {table.name} WHERE {_matches(columns[0], "key", "other_key")}
        ORDER BY {table.name}.{at} DESC, {columns[0]} DESC LIMIT :limit
    """)


_SEARCHES: tuple[tuple[Place, ColumnSet, Sequence[str], str, sa.TextClause], ...] = (
    (
        "backlog",
        BACKLOG,
        _WAITING,
        "since",
        sql(
            "search_backlog",
            matches=_matches("job_id", "key"),
            columns=BACKLOG.select(*_WAITING, of="b"),
            due_at=_DUE_AT,
        ),
    ),
    ("ledger", LEDGER, _DELIVERED, "delivered_at", _latest(LEDGER, _DELIVERED, "delivered_at")),
    ("dead_letters", DEAD_LETTERS, _DEAD, "died_at", _latest(DEAD_LETTERS, _DEAD, "died_at")),
)

_LIST = sql(
    "list_backlog",
    conditions=" AND ".join(
        [
            any_of("reasons", "reason"),
            any_of("operations", "operation"),
            "(CAST(:keys AS text[]) IS NULL OR keys && CAST(:keys AS text[]))",
            any_of("sources", "source"),
            any_of("names", event_name()),
            any_of("emails", email()),
        ]
    ),
    columns=BACKLOG.select(*_LISTED, of="b"),
    event_name=event_name(),
    due_at=_DUE_AT,
)

_NEXT = sql(
    "list_next_jobs",
    columns=BACKLOG.select(*_LISTED, of="b"),
    event_name=event_name(),
    due_at=_DUE_AT,
)

_CONTENT = sa.text("""
    SELECT convert_to(body, 'UTF8') AS content FROM (
        SELECT 1 AS rank, CAST(body AS text) AS body FROM trackrelay_backlog WHERE job_id = :id
        UNION ALL
        SELECT 2, coalesce(CAST(body AS text), encode(raw, 'escape'))
        FROM trackrelay_dead_letters WHERE job_id = :id) AS found
    ORDER BY rank LIMIT 1
""")


def search(connection: sa.Connection, query: SearchQuery, limit: int) -> Results:
    """Return the matches in backlog, ledger and dead letters: the latest ``limit`` of each.

    Of the backlog, also return the first job of each key, however old it is.
    """
    parameters = {
        "ids": list(query.ids),
        "keys": list(query.keys),
        "idempotency_key": query.idempotency_key,
        "limit": limit,
    }
    results = Results()
    for place, table, columns, at, statement in _SEARCHES:
        rows = connection.execute(statement, parameters).all()
        results.totals[place] = rows[0].total if rows else 0
        for row in rows:
            values = table.read(row, *columns)
            values["at"] = values.pop(at)
            if place == "backlog":
                values |= {"due_at": row.due_at, "ahead": row.ahead}
            else:
                values["keys"] = (row.key, row.other_key) if row.other_key else (row.key,)
            results.matches.append(Match(place=place, **values))
    return results


def waiting_jobs(
    connection: sa.Connection, filters: BacklogFilters, limit: int
) -> tuple[list[WaitingJob], int]:
    """Return the oldest ``limit`` jobs of the backlog that match, and how many match."""
    names = [field.name for field in fields(filters)]
    parameters = {name: list(getattr(filters, name)) or None for name in names}
    rows = connection.execute(_LIST, {**parameters, "limit": limit}).all()
    return [_waiting_job(row) for row in rows], rows[0].total if rows else 0


def next_jobs(
    connection: sa.Connection, limit: int, reasons: Sequence[str] = ()
) -> list[WaitingJob]:
    """Return the oldest ``limit`` jobs that are the first of their key, in a large backlog too."""
    given = {
        "limit": limit,
        "lanes": list(LANES),
        "families": [str(each) for each in Family],
        "reasons": list(reasons) or None,
    }
    return [_waiting_job(row) for row in connection.execute(_NEXT, given)]


def waiting_jobs_in_time(
    connection: sa.Connection, filters: BacklogFilters, limit: int, timeout_ms: int
) -> tuple[list[WaitingJob], int] | None:
    """Do as :func:`waiting_jobs`, or return None if that takes too long. Ends the transaction."""
    try:
        connection.execute(sa.text(f"SET LOCAL statement_timeout = {timeout_ms}"))
        return waiting_jobs(connection, filters, limit)
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "sqlstate", "") != _CANCELLED:
            raise
        return None
    finally:
        connection.rollback()


def _waiting_job(row: Any) -> WaitingJob:
    return WaitingJob(**BACKLOG.read(row, *_LISTED), name=row.event_name, due_at=row.due_at)


def content(connection: sa.Connection, job_id: str) -> bytes | None:
    """Return the document of a job that waits or is a dead letter; None if it is not stored."""
    found = connection.execute(_CONTENT, {"id": job_id}).scalar()
    return None if found is None else bytes(found)
