"""Select and load dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from trackrelay.operations.json_values import NotJsonError, decode_json

from .queries.job_conditions import any_of, email, event_name
from .tables import DEAD_LETTERS

State = Literal["open", "replaying", "delivered", "discarded"]
STATES: tuple[State, ...] = ("open", "replaying", "delivered", "discarded")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One dead letter. All times are unix seconds."""

    id: str
    operation: str
    #: As stored: keys made of emails, phones and anonymous ids are hashes.
    keys: tuple[str, ...]
    lane: str
    #: The document. None if the stream entry could not be decoded.
    body: bytes | None
    #: The stream entry, if it could not be decoded.
    raw: bytes | None
    #: A :class:`~trackrelay.worker.reasons.DeathReason`.
    reason: str
    error: str | None
    field: str | None
    status: int | None
    attempts: int
    state: State
    source: str | None
    idempotency_key: str | None
    trace: str | None
    enqueued_at: float
    died_at: float
    updated_at: float
    #: Attempts, replays and repairs, oldest first.
    history: tuple[dict[str, Any], ...]
    #: Changes with every change of the row.
    version: str
    #: What the tracking plan fixed in its document before it died.
    plan_note: str | None = None

    @property
    def document(self) -> dict[str, Any] | None:
        """The document. None if there is none, or if it cannot be decoded; see :attr:`found`."""
        if self.body is None:
            return None
        try:
            document = decode_json(self.body)
        except NotJsonError:
            return None
        return document if isinstance(document, dict) else None

    @property
    def event_name(self) -> str | None:
        """The name of the event, page or screen. None for other operations."""
        name = (self.document or {}).get("name")
        return name if isinstance(name, str) else None

    @property
    def found(self) -> str | None:
        """The text that stands in place of a document."""
        if self.raw is not None:
            return self.raw.decode(errors="replace")
        return (
            self.body.decode(errors="replace")
            if self.body is not None and self.document is None
            else None
        )

    @property
    def first_died_at(self) -> float:
        """When it first became a dead letter. Each replay records when that was."""
        earlier = [float(event["died_at"]) for event in self.history if "died_at" in event]
        return min([self.died_at, *earlier])


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which dead letters to select. An empty filter allows any."""

    ids: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    reasons: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    #: Names of events, pages and screens.
    names: tuple[str, ...] = ()
    #: In lower case. An identifier or an attribute matches.
    emails: tuple[str, ...] = ()
    #: As stored. A letter with any of them matches.
    keys: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    #: Part of the error or of the field's name, in any case.
    error: str | None = None
    #: Unix seconds between which it became a dead letter.
    since: float | None = None
    until: float | None = None


_CONDITIONS = " AND ".join(
    [
        any_of("ids", "job_id"),
        any_of("states", "state"),
        any_of("reasons", "reason"),
        any_of("operations", "operation"),
        any_of("keys", "key", "other_key"),
        any_of("sources", "source"),
        any_of("names", event_name()),
        any_of("emails", email()),
        "(CAST(:error AS text) IS NULL"
        " OR position(lower(CAST(:error AS text)) IN lower(concat_ws(' ', error, field))) > 0)",
        "(CAST(:since AS float8) IS NULL OR died_at >= to_timestamp(:since))",
        "(CAST(:until AS float8) IS NULL OR died_at < to_timestamp(:until))",
    ]
)
_MATCHING = f"FROM trackrelay_dead_letters WHERE {_CONDITIONS}"
# In the order of enqueueing. An event and the identify that was enqueued with it have the same
# time.
_OLDEST_FIRST = "ORDER BY enqueued_at, operation <> 'person.identify', job_id"

_IDS = sa.text(f"SELECT job_id {_MATCHING} {_OLDEST_FIRST} LIMIT :limit")
_NEWEST_IDS = sa.text(f"SELECT job_id {_MATCHING} ORDER BY died_at DESC, job_id DESC LIMIT :limit")
_COUNTS = sa.text(f"""
    SELECT state, reason, operation, count(*) AS letters {_MATCHING}
    GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3
""")
_LOAD = sa.text(f"""
    SELECT {DEAD_LETTERS.select_list}, key, other_key,
        CAST(extract(epoch FROM updated_at) AS text) AS version
    FROM unnest(CAST(:ids AS text[])) WITH ORDINALITY AS wanted (id, place)
    JOIN trackrelay_dead_letters ON job_id = id ORDER BY place
""")
_load_letter = DEAD_LETTERS.loader(DeadLetter, "keys", "version")
_BEGINNING = sa.text("""
    SELECT job_id FROM trackrelay_dead_letters WHERE starts_with(job_id, :start) ORDER BY 1 LIMIT 2
""")


@dataclass(frozen=True, slots=True)
class Count:
    """The number of dead letters of one state, reason and operation."""

    state: State
    reason: str
    operation: str
    letters: int


def ids(connection: sa.Connection, filters: Filters, limit: int | None = None) -> list[str]:
    """Return the ids of the letters that match, in the order of enqueueing."""
    return [
        row.job_id for row in connection.execute(_IDS, {**_parameters(filters), "limit": limit})
    ]


def newest_ids(connection: sa.Connection, filters: Filters, limit: int | None = None) -> list[str]:
    """Return the ids of the letters that match, the newest first."""
    return [
        row.job_id
        for row in connection.execute(_NEWEST_IDS, {**_parameters(filters), "limit": limit})
    ]


def counts(connection: sa.Connection, filters: Filters) -> list[Count]:
    """Count the letters that match, by state, reason and operation. The largest count is first."""
    rows = connection.execute(_COUNTS, _parameters(filters))
    return [Count(row.state, row.reason, row.operation, row.letters) for row in rows]


def load(connection: sa.Connection, ids: Sequence[str]) -> list[DeadLetter]:
    """Return the letters with these ids, in this order, without those that do not exist."""
    return [_letter(row) for row in connection.execute(_LOAD, {"ids": list(ids)})]


def beginning_with(connection: sa.Connection, start: str) -> list[str]:
    """Return at most two ids that begin with ``start``. Two mean that ``start`` is ambiguous."""
    return [row.job_id for row in connection.execute(_BEGINNING, {"start": start.upper()})]


def _parameters(filters: Filters) -> dict[str, Any]:
    several = ("ids", "states", "reasons", "operations", "names", "emails", "keys", "sources")
    single = ("error", "since", "until")
    return {name: list(getattr(filters, name)) or None for name in several} | {
        name: getattr(filters, name) for name in single
    }


def _letter(row: Any) -> DeadLetter:
    keys = (row.key,) if row.other_key is None else (row.key, row.other_key)
    return _load_letter(row, keys, row.version)
