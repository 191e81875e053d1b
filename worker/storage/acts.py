"""The history of what operators did: who, when, what, and to what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from trackrelay.worker.reasons import Act

from .pg_values import sanitize_text, sanitized_json

Origin = Literal["console", "command"]
#: How long acts are kept.
KEPT_DAYS = 365
PRUNE_CHUNK = 5_000
MAX_TEXT = 300
_UNDEFINED_TABLE = "42P01"

_RECORD = sa.text("""
    INSERT INTO trackrelay_acts (author, origin, act, subject, details)
    VALUES (:author, :origin, :act, :subject, CAST(:details AS jsonb))
""")
# Walks backwards along the primary key, or along the index of the author.
_LATEST = sa.text("""
    SELECT id, CAST(extract(epoch FROM at) AS float8) AS at, author, origin, act, subject, details
    FROM trackrelay_acts
    WHERE (CAST(:before AS bigint) IS NULL OR id < :before)
        AND (CAST(:author AS text) IS NULL OR author = :author)
        AND (CAST(:acts AS text[]) IS NULL OR act = ANY(CAST(:acts AS text[])))
    ORDER BY id DESC LIMIT :limit
""")
_PRUNE = sa.text("""
    WITH old AS (SELECT id FROM trackrelay_acts WHERE at < now() - make_interval(days => :days)
        ORDER BY id LIMIT :chunk FOR UPDATE SKIP LOCKED)
    DELETE FROM trackrelay_acts a USING old WHERE a.id = old.id
""")


@dataclass(frozen=True, slots=True)
class Author:
    """Who does something, and where."""

    name: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class RecordedAct:
    """One act. The time is in unix seconds."""

    id: int
    at: float
    author: str
    origin: str
    act: str
    subject: str
    details: Mapping[str, Any]

    @property
    def explanation(self) -> str:
        """What was done, in words."""
        known = {str(each): each for each in Act}
        return known[self.act].explanation if self.act in known else self.act.replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActFilters:
    """Which acts to list. An empty filter allows any."""

    author: str | None = None
    acts: tuple[str, ...] = ()
    #: Only acts with a lower number: the next page.
    before: int | None = None


def record(
    connection: sa.Connection,
    author: Author,
    act: Act,
    subject: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write down that somebody did something. The caller commits.

    Args:
        subject: what it was done to: a job's id, a shard, an incident's number. Never a name or an
            address of a person; a key only as it is stored.
        details: numbers and words that say more.
    """
    values = {
        "author": _short(author.name),
        "origin": author.origin,
        "act": str(act),
        "subject": _short(subject),
        "details": sanitized_json(dict(details or {})),
    }
    try:
        with connection.begin_nested():
            connection.execute(_RECORD, values)
    except sa.exc.ProgrammingError as error:
        # An operator must be able to pause delivery before `trackrelay migrate` has run.
        if getattr(error.orig, "sqlstate", None) != _UNDEFINED_TABLE:
            raise


def latest(connection: sa.Connection, filters: ActFilters, limit: int) -> list[RecordedAct]:
    """Return the latest acts that match, the newest first."""
    rows = connection.execute(
        _LATEST,
        {
            "before": filters.before,
            "author": filters.author,
            "acts": list(filters.acts) or None,
            "limit": limit,
        },
    )
    return [RecordedAct(**row._mapping) for row in rows]


def prune(connection: sa.Connection) -> int:
    """Delete one chunk of old acts, and return how many."""
    return connection.execute(_PRUNE, {"days": KEPT_DAYS, "chunk": PRUNE_CHUNK}).rowcount


def _short(text: str) -> str:
    return (sanitize_text(text) or "")[:MAX_TEXT]
