"""Reading dead letters: which there are, and everything that is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from trackrelay.operations.json_values import NotJsonError, decode_json

from .queries.document_fields import email, event_name
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
    #: The document; None when the stream entry could not be decoded.
    body: bytes | None
    #: The stream entry, when it could not be decoded.
    raw: bytes | None
    #: ``rejected``, ``exhausted``, ``expired``, ``undecodable``, ``crashed`` or ``invalid``.
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
    #: What happened to it, oldest first.
    history: tuple[dict[str, Any], ...]
    #: Changes whenever anything of it does.
    version: str

    @property
    def document(self) -> dict[str, Any] | None:
        """The document; None when there is none, or one that cannot be decoded: its bytes are then in :attr:`found`."""
        if self.body is None:
            return None
        try:
            document = decode_json(self.body)
        except NotJsonError:
            return None
        return document if isinstance(document, dict) else None

    @property
    def event_name(self) -> str | None:
        """The name of the event, page or screen; None for other operations."""
        name = (self.document or {}).get("name")
        return name if isinstance(name, str) else None

    @property
    def found(self) -> str | None:
        """What was found in place of a document, as text."""
        if self.raw is not None:
            return self.raw.decode(errors="replace")
        return (
            self.body.decode(errors="replace")
            if self.body is not None and self.document is None
            else None
        )

    @property
    def first_died_at(self) -> float:
        """When it died for the first time: each replay notes when the death before it was."""
        return min(
            [
                self.died_at,
                *(float(event["died_at"]) for event in self.history if "died_at" in event),
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which dead letters are meant. What is left empty takes any."""

    ids: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    reasons: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    #: Names of events, pages and screens.
    names: tuple[str, ...] = ()
    #: In lower case; as an identifier or an attribute.
    emails: tuple[str, ...] = ()
    #: As stored; a letter with any of them.
    keys: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    #: Part of what was said, or of the field's name; case does not matter.
    error: str | None = None
    #: Unix seconds, of the death.
    since: float | None = None
    until: float | None = None


_MATCHING = f"""
    FROM trackrelay_dead_letters WHERE
    (CAST(:ids AS text[]) IS NULL OR job_id = ANY(CAST(:ids AS text[])))
    AND (CAST(:states AS text[]) IS NULL OR state = ANY(CAST(:states AS text[])))
    AND (CAST(:reasons AS text[]) IS NULL OR reason = ANY(CAST(:reasons AS text[])))
    AND (CAST(:operations AS text[]) IS NULL OR operation = ANY(CAST(:operations AS text[])))
    AND (CAST(:keys AS text[]) IS NULL OR key = ANY(CAST(:keys AS text[])) OR other_key = ANY(CAST(:keys AS text[])))
    AND (CAST(:sources AS text[]) IS NULL OR source = ANY(CAST(:sources AS text[])))
    AND (CAST(:names AS text[]) IS NULL OR {event_name()} = ANY(CAST(:names AS text[])))
    AND (CAST(:emails AS text[]) IS NULL OR {email()} = ANY(CAST(:emails AS text[])))
    AND (CAST(:error AS text) IS NULL
        OR position(lower(CAST(:error AS text)) IN lower(concat_ws(' ', error, field))) > 0)
    AND (CAST(:since AS float8) IS NULL OR died_at >= to_timestamp(:since))
    AND (CAST(:until AS float8) IS NULL OR died_at < to_timestamp(:until))
"""
# The order they were enqueued in, as far as it is known: of an event and the identify just ahead of it, both have one time.
_OLDEST_FIRST = "ORDER BY enqueued_at, operation <> 'person.identify', job_id"

_IDS = sa.text(f"SELECT job_id {_MATCHING} {_OLDEST_FIRST} LIMIT :limit")
_NEWEST_IDS = sa.text(f"SELECT job_id {_MATCHING} ORDER BY died_at DESC, job_id DESC LIMIT :limit")
_COUNTS = sa.text(
    f"SELECT state, reason, operation, count(*) AS letters {_MATCHING} GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3"
)
_LOAD = sa.text(f"""
    SELECT {DEAD_LETTERS.select_list}, key, other_key,
        CAST(extract(epoch FROM updated_at) AS text) AS version
    FROM unnest(CAST(:ids AS text[])) WITH ORDINALITY AS wanted (id, place)
    JOIN trackrelay_dead_letters ON job_id = id ORDER BY place
""")
_load_letter = DEAD_LETTERS.loader(DeadLetter, "keys", "version")
_BEGINNING = sa.text(
    "SELECT job_id FROM trackrelay_dead_letters WHERE starts_with(job_id, :start) ORDER BY 1 LIMIT 2"
)


@dataclass(frozen=True, slots=True)
class Count:
    """How many dead letters have a state, a reason and an operation in common."""

    state: State
    reason: str
    operation: str
    letters: int


def ids(connection: sa.Connection, filters: Filters, limit: int | None = None) -> list[str]:
    """The ids of the letters meant, in the order they were enqueued."""
    return [
        row.job_id for row in connection.execute(_IDS, {**_parameters(filters), "limit": limit})
    ]


def newest_ids(connection: sa.Connection, filters: Filters, limit: int | None = None) -> list[str]:
    """The ids of the letters meant, those that died last first."""
    return [
        row.job_id
        for row in connection.execute(_NEWEST_IDS, {**_parameters(filters), "limit": limit})
    ]


def counts(connection: sa.Connection, filters: Filters) -> list[Count]:
    """How many letters are meant, by state, reason and operation; the largest count first."""
    rows = connection.execute(_COUNTS, _parameters(filters))
    return [Count(row.state, row.reason, row.operation, row.letters) for row in rows]


def load(connection: sa.Connection, ids: Sequence[str]) -> list[DeadLetter]:
    """The letters with these ids, in this order; those that do not exist are left out."""
    return [_letter(row) for row in connection.execute(_LOAD, {"ids": list(ids)})]


def beginning_with(connection: sa.Connection, start: str) -> list[str]:
    """Up to two ids that begin with ``start``: one is meant, two are one too many."""
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
