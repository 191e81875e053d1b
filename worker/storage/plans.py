"""The versions of the tracking plan in Postgres, and how holders learn of a change.

Every shard's row has a number that changes with the plan. A holder reads it in the statements that
it runs anyway, and loads the plan only when the number is another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from . import shards

_COLUMNS = """version, name, text, digest, applied_by,
    CAST(extract(epoch FROM applied_at) AS float8) AS applied_at,
    CAST(extract(epoch FROM in_force_until) AS float8) AS in_force_until"""
_IN_FORCE = sa.text(f"""
    SELECT {_COLUMNS} FROM trackrelay_plans
    WHERE in_force_until IS NULL OR in_force_until > now() ORDER BY version DESC
""")
_LATEST = sa.text(f"SELECT {_COLUMNS} FROM trackrelay_plans ORDER BY version DESC LIMIT :limit")
_ONE = sa.text(f"SELECT {_COLUMNS} FROM trackrelay_plans WHERE version = :version")
_FIRST_NAMING = sa.text("""
    SELECT CAST(extract(epoch FROM coalesce(
        min(applied_at) FILTER (WHERE strpos(text, :name) > 0), max(applied_at))) AS float8)
    FROM trackrelay_plans
""")
# Of several commands, each sees what the one before it wrote.
_LOCK = sa.text("LOCK TABLE trackrelay_plans IN SHARE ROW EXCLUSIVE MODE")
# Two versions are in force at most: what was in force beside the latest one ends now.
_END = sa.text("""
    UPDATE trackrelay_plans SET in_force_until = now() + CASE
        WHEN in_force_until IS NULL THEN make_interval(secs => :overlap_s) ELSE interval '0' END
    WHERE in_force_until IS NULL OR in_force_until > now()
    RETURNING version
""")
_INSERT = sa.text("""
    INSERT INTO trackrelay_plans (name, text, digest, applied_by)
    VALUES (:name, :text, :digest, :who) RETURNING version
""")

#: A version is deleted so many days after its end, unless it is among the latest ones.
KEPT_DAYS, KEPT_VERSIONS = 365, 50
_PRUNE = sa.text("""
    DELETE FROM trackrelay_plans WHERE in_force_until < now() - make_interval(days => :days)
        AND version NOT IN (
            SELECT version FROM trackrelay_plans ORDER BY version DESC LIMIT :versions)
""")


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """One version of the plan. Times are unix seconds."""

    version: int
    name: str
    text: str
    digest: str
    applied_by: str
    applied_at: float
    #: None: no other version has followed.
    in_force_until: float | None

    @property
    def is_latest(self) -> bool:
        """Whether no other version has followed."""
        return self.in_force_until is None


@dataclass(frozen=True, slots=True)
class NewPlan:
    """A plan that is to be applied."""

    name: str
    text: str
    digest: str


def in_force(connection: sa.Connection) -> list[StoredPlan]:
    """Return the versions that are in force now, the latest first."""
    return [StoredPlan(*row) for row in connection.execute(_IN_FORCE)]


def latest(connection: sa.Connection, limit: int) -> list[StoredPlan]:
    """Return the latest versions, also those that have ended."""
    return [StoredPlan(*row) for row in connection.execute(_LATEST, {"limit": limit})]


def get(connection: sa.Connection, version: int) -> StoredPlan | None:
    """Return one version, or None."""
    row = connection.execute(_ONE, {"version": version}).one_or_none()
    return StoredPlan(*row) if row else None


def first_naming(connection: sa.Connection, name: str) -> float:
    """Return when the first version was applied that has a name somewhere, in unix seconds."""
    return float(connection.execute(_FIRST_NAMING, {"name": name}).scalar_one())


def apply(connection: sa.Connection, plan: NewPlan, overlap: timedelta, who: str) -> int | None:
    """Put a plan into force, and return its version. The caller commits.

    Args:
        overlap: for how long the version before it stays in force beside it.
        who: applies it.

    Returns:
        None if the plan is in force already.
    """
    connection.execute(_LOCK)
    current = next((each for each in in_force(connection) if each.is_latest), None)
    if current is not None and current.digest == plan.digest:
        return None
    connection.execute(_END, {"overlap_s": overlap.total_seconds()})
    values = {"name": plan.name, "text": plan.text, "digest": plan.digest, "who": who}
    version = int(connection.execute(_INSERT, values).scalar_one())
    shards.announce(connection, "plan_version")
    return version


def withdraw(connection: sa.Connection) -> list[int]:
    """End every version now, and return those that were in force. The caller commits."""
    connection.execute(_LOCK)
    ended = [int(row.version) for row in connection.execute(_END, {"overlap_s": 0})]
    shards.announce(connection, "plan_version")
    return sorted(ended)


def prune(connection: sa.Connection) -> int:
    """Delete versions that ended long ago, and return how many."""
    return connection.execute(_PRUNE, {"days": KEPT_DAYS, "versions": KEPT_VERSIONS}).rowcount
