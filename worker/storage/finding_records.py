"""Remember findings: since when each is open, and who acknowledged it until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from .pg_values import text_array

_OPEN = sa.text("""
    INSERT INTO trackrelay_findings AS f (key, rule, opened_at, found_at)
    SELECT key, rule, now(), now()
    FROM unnest(CAST(:keys AS text[]), CAST(:rules AS text[])) AS given (key, rule)
    ON CONFLICT (key) DO UPDATE SET
        found_at = now(),
        opened_at = CASE WHEN f.closed_at IS NULL THEN f.opened_at ELSE now() END,
        closed_at = NULL
""")
_CLOSE = sa.text("""
    UPDATE trackrelay_findings SET closed_at = now()
    WHERE closed_at IS NULL AND key <> ALL(CAST(:keys AS text[]))
""")
_READ = sa.text("""
    SELECT key, CAST(extract(epoch FROM opened_at) AS float8) AS opened_at,
        CAST(extract(epoch FROM acknowledged_until) AS float8) AS acknowledged_until,
        acknowledged_by
    FROM trackrelay_findings WHERE closed_at IS NULL
""")
_COUNT_OPEN = sa.text("""
    SELECT rule, count(*) AS findings FROM trackrelay_findings
    WHERE closed_at IS NULL AND (acknowledged_until IS NULL OR acknowledged_until < now())
    GROUP BY rule ORDER BY rule
""")
_CLOSED = sa.text("""
    SELECT key FROM trackrelay_findings
    WHERE closed_at >= now() - make_interval(secs => :since_s) ORDER BY key
""")
_ACKNOWLEDGE = sa.text("""
    UPDATE trackrelay_findings SET acknowledged_by = :who,
        acknowledged_until = now() + make_interval(secs => :until_s)
    WHERE closed_at IS NULL AND (rule = :what OR key = :what) RETURNING key
""")
_PRUNE = sa.text("""
    DELETE FROM trackrelay_findings WHERE closed_at < now() - make_interval(days => :days)
""")


@dataclass(frozen=True, slots=True)
class FindingRecord:
    """What is remembered of an open finding. Times are unix seconds."""

    key: str
    opened_at: float
    acknowledged_until: float | None
    acknowledged_by: str | None

    def is_acknowledged(self, now: float) -> bool:
        """Return whether somebody has acknowledged it for longer than until ``now``."""
        return self.acknowledged_until is not None and self.acknowledged_until > now


def record(connection: sa.Connection, found: Mapping[str, str]) -> dict[str, FindingRecord]:
    """Open the findings of a check, close all others, and return what is remembered of the open.

    Args:
        connection: the caller commits.
        found: the id of the rule by the finding's key.
    """
    keys = {"keys": text_array(sorted(found))}
    connection.execute(_OPEN, keys | {"rules": text_array([found[key] for key in sorted(found)])})
    connection.execute(_CLOSE, keys)
    return read_open(connection)


def read_open(connection: sa.Connection) -> dict[str, FindingRecord]:
    """Return what is remembered of the open findings, by key."""
    return {row.key: FindingRecord(*row) for row in connection.execute(_READ)}


def closed_since(connection: sa.Connection, age: timedelta) -> list[str]:
    """Return the keys of findings that closed within ``age``."""
    return [row.key for row in connection.execute(_CLOSED, {"since_s": age.total_seconds()})]


def count_open(connection: sa.Connection) -> dict[str, int]:
    """Return by rule how many findings are open and not acknowledged."""
    return {row.rule: row.findings for row in connection.execute(_COUNT_OPEN)}


def acknowledge(connection: sa.Connection, what: str, until: timedelta, who: str) -> Sequence[str]:
    """Acknowledge the open findings of a rule, or one by its key; return their keys."""
    given = {"what": what, "until_s": until.total_seconds(), "who": who}
    return [row.key for row in connection.execute(_ACKNOWLEDGE, given)]


def prune(connection: sa.Connection, days: int) -> int:
    """Delete findings that closed so many days ago; return how many."""
    return connection.execute(_PRUNE, {"days": days}).rowcount
