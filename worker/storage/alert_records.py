"""Alerts that were told, so that of several watchers one tells each of them."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

#: A watcher that did not confirm an alert within this time has failed: another one tells it.
CLAIM_S = 60

_CLAIM = sa.text("""
    INSERT INTO trackrelay_alerts AS a (name, state, text, since, claimed_at)
    VALUES (:name, :state, :text, to_timestamp(:since), now())
    ON CONFLICT (name) DO UPDATE SET state = excluded.state, text = excluded.text,
        since = excluded.since, claimed_at = now()
    WHERE a.state <> excluded.state OR (a.told IS DISTINCT FROM a.state
        AND a.claimed_at < now() - make_interval(secs => :claim_s))
    RETURNING name
""")
_IS_TOLD = sa.text("""
    SELECT told IS NOT DISTINCT FROM :state FROM trackrelay_alerts WHERE name = :name
""")
_CONFIRM = sa.text("""
    UPDATE trackrelay_alerts SET told = state, told_at = now()
    WHERE name = :name AND state = :state
""")
_FIRING = sa.text("""
    SELECT name, text, CAST(extract(epoch FROM since) AS float8) AS since
    FROM trackrelay_alerts WHERE state = 'firing'
""")

#: Days for which an alert is remembered after its end was told. One that fires for a year has no
#: watcher any more, or is told once more.
KEPT_DAYS, FIRING_DAYS = 30, 365
_PRUNE = sa.text("""
    DELETE FROM trackrelay_alerts WHERE told = state AND told_at < now() - make_interval(
        days => CASE state WHEN 'resolved' THEN :days ELSE :firing_days END)
""")


@dataclass(frozen=True, slots=True)
class FiringAlert:
    """An alert that fires."""

    name: str
    text: str
    #: Unix seconds.
    since: float


def claim(connection: sa.Connection, name: str, state: str, text: str, since: float) -> bool:
    """Return whether the caller must tell that ``name`` is in ``state`` now. The caller commits."""
    given = {"name": name, "state": state, "text": text, "since": since, "claim_s": CLAIM_S}
    return connection.execute(_CLAIM, given).first() is not None


def is_told(connection: sa.Connection, name: str, state: str) -> bool:
    """Return whether some watcher has told that ``name`` is in ``state``."""
    return bool(connection.execute(_IS_TOLD, {"name": name, "state": state}).scalar())


def confirm(connection: sa.Connection, name: str, state: str) -> None:
    """Record that it was told. The caller commits."""
    connection.execute(_CONFIRM, {"name": name, "state": state})


def firing(connection: sa.Connection) -> list[FiringAlert]:
    """Return the alerts that fire."""
    return [FiringAlert(*row) for row in connection.execute(_FIRING)]


def prune(connection: sa.Connection) -> int:
    """Delete alerts that ended long ago, and return how many."""
    given = {"days": KEPT_DAYS, "firing_days": FIRING_DAYS}
    return connection.execute(_PRUNE, given).rowcount
