"""Write dead letters: jobs that cannot succeed as they are, kept until replayed or discarded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from trackrelay.worker.reasons import DeathReason

from . import counters
from .counts import Counts, Name
from .letter_history import appended, bounded
from .pg_values import text_array
from .stored_job import Job
from .tables import DEAD_LETTERS

# A job that was replayed and failed again stays the same dead letter, with more history and more
# attempts. If the letter is open, the same settlement is written for the second time.
_INSERT = sa.text(
    DEAD_LETTERS.insert(
        f"""
    ON CONFLICT (job_id) DO UPDATE SET {DEAD_LETTERS.replacements},
        attempts = CASE trackrelay_dead_letters.state
            WHEN 'open' THEN trackrelay_dead_letters.attempts
            ELSE least(32767, CAST(trackrelay_dead_letters.attempts AS int) + excluded.attempts)
            END,
        history = {appended("trackrelay_dead_letters.history", "excluded.history")}
    """,
        history=bounded("CAST(history AS jsonb)"),
    )
)

# An operation that was refused at the call was never a job. Reading its entry again must not change
# the letter.
_INSERT_NEW = sa.text(DEAD_LETTERS.insert("ON CONFLICT (job_id) DO NOTHING RETURNING job_id"))

_OPEN = sa.text("""
    SELECT job_id FROM trackrelay_dead_letters
    WHERE job_id = ANY(CAST(:ids AS text[])) AND state = 'open'
""")

_WAS_DELIVERED = (
    "jsonb_build_array(jsonb_build_object('at', extract(epoch FROM now()), 'what', 'delivered'))"
)
_DELIVERED = sa.text(f"""
    UPDATE trackrelay_dead_letters SET state = 'delivered', updated_at = now(),
        history = {appended("history", _WAS_DELIVERED)}
    WHERE job_id = ANY(CAST(:ids AS text[])) AND state <> 'delivered'
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDeadLetter:
    """A job, and why it is a dead letter."""

    job: Job
    reason: DeathReason
    error: str
    field: str | None = None
    status: int | None = None
    #: The stream entry's bytes, if they could not be decoded.
    raw: bytes | None = None
    #: Appended to its history, oldest first.
    history: tuple[dict[str, Any], ...] = ()

    @property
    def body(self) -> bytes | None:
        """The document. None if there is none."""
        return self.job.body if self.raw is None else None


def insert(connection: sa.Connection, letters: Sequence[NewDeadLetter]) -> Sequence[NewDeadLetter]:
    """Insert dead letters, or add to those that exist. Return those that were not open before."""
    if not letters:
        return ()
    ids = {"ids": text_array([letter.job.id for letter in letters])}
    was_open = {row.job_id for row in connection.execute(_OPEN, ids)}
    connection.execute(_INSERT, _inserted(letters))
    return [letter for letter in letters if letter.job.id not in was_open]


def insert_new(connection: sa.Connection, letters: Sequence[NewDeadLetter]) -> frozenset[str]:
    """Insert dead letters of operations that were never jobs, and return the ids of the new ones.

    Letters that exist are not changed. New ones are counted.
    """
    if not letters:
        return frozenset()
    new = {row.job_id for row in connection.execute(_INSERT_NEW, _inserted(letters))}
    counts = Counts()
    for letter in letters:
        counts.add(Name.DIED, letter.reason, number=letter.job.id in new)
    counters.add(connection, counters.NO_SHARD, counts)
    return frozenset(new)


def _inserted(letters: Sequence[NewDeadLetter]) -> dict[str, Any]:
    in_order = sorted(letters, key=lambda letter: letter.job.id)
    return DEAD_LETTERS.inserted(letter=in_order, job=[letter.job for letter in in_order])


# Open letters stay until somebody replays or discards them, or they are very old.
_PRUNE = sa.text("""
    WITH old AS (
        SELECT job_id FROM trackrelay_dead_letters
        WHERE state IN ('delivered', 'discarded')
            AND updated_at < now() - make_interval(secs => :retention_s)
        LIMIT :chunk FOR UPDATE SKIP LOCKED)
    DELETE FROM trackrelay_dead_letters d USING old WHERE d.job_id = old.job_id
""")

_WAS_TOO_OLD = """jsonb_build_array(jsonb_build_object(
    'at', extract(epoch FROM now()), 'what', 'discarded', 'who', 'trackrelay',
    'note', 'it was open for too long'))"""
_DISCARD_OLD = sa.text(f"""
    WITH old AS (
        SELECT job_id FROM trackrelay_dead_letters
        WHERE state = 'open' AND died_at < now() - make_interval(secs => :retention_s)
        LIMIT :chunk FOR UPDATE SKIP LOCKED)
    UPDATE trackrelay_dead_letters d SET state = 'discarded', updated_at = now(),
        history = {appended("d.history", _WAS_TOO_OLD)}
    FROM old WHERE d.job_id = old.job_id
""")

PRUNE_CHUNK = 5_000


def discard_old(connection: sa.Connection, retention: timedelta) -> int:
    """Discard one chunk of letters that are open for longer than ``retention``; return how many.

    They are deleted only after the retention of discarded letters.
    """
    result = connection.execute(
        _DISCARD_OLD, {"retention_s": retention.total_seconds(), "chunk": PRUNE_CHUNK}
    )
    return result.rowcount


def prune(connection: sa.Connection, retention: timedelta) -> int:
    """Delete one chunk of dead letters that were settled before ``retention``; return how many."""
    result = connection.execute(
        _PRUNE, {"retention_s": retention.total_seconds(), "chunk": PRUNE_CHUNK}
    )
    return result.rowcount


def mark_delivered(connection: sa.Connection, ids: Sequence[str]) -> None:
    """Record that replayed dead letters were delivered."""
    if ids:
        connection.execute(_DELIVERED, {"ids": sorted(ids)})
