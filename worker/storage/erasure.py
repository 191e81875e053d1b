"""Erase a forgotten person's rows: their payload goes, and what must stay has only keyed hashes.

What stays keeps an operation from being sent twice: the id of each job, and what became of it.
The key of another person in the same row stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trackrelay.worker.reasons import LedgerOutcome

from . import backlog, ledger, shards
from .pg_values import text_array
from .stored_job import Job
from .tables import BACKLOG

#: Rows that one statement changes, so that no transaction is long.
CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class KeyForms:
    """A person's keys in every form that the tables can have."""

    #: The keys as they are stored before, and for each of them the keyed hash that replaces it.
    hidden_by_key: Mapping[str, str]

    @property
    def every(self) -> list[str]:
        """All forms."""
        return list(dict.fromkeys([*self.hidden_by_key, *self.hidden_by_key.values()]))

    @property
    def clear(self) -> list[str]:
        """The forms that name the person."""
        return [key for key, hidden in self.hidden_by_key.items() if key != hidden]

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that the statements of this module share."""
        return {
            "every": self.every,
            "clear": self.clear,
            "hidden": [self.hidden_by_key[key] for key in self.clear],
        }

    def hide(self, keys: Sequence[str]) -> tuple[str, ...]:
        """Return ``keys`` with the person's own as keyed hashes."""
        return tuple(self.hidden_by_key.get(key, key) for key in keys)


_HIDDEN = """coalesce(
    (SELECT form.hidden
     FROM unnest(CAST(:clear AS text[]), CAST(:hidden AS text[])) AS form (clear, hidden)
     WHERE form.clear = {column}), {column})"""
_THEIRS = "(key = ANY(CAST(:every AS text[])) OR other_key = ANY(CAST(:every AS text[])))"
_NAMED = "(key = ANY(CAST(:clear AS text[])) OR other_key = ANY(CAST(:clear AS text[])))"

# -- the backlog

# The index begins with the shard. A job whose other row is still in a stream has the key only in
# `keys`.
_WAITING = sa.text("""
    SELECT job_id FROM trackrelay_backlog
    WHERE shard = ANY(ARRAY(SELECT shard FROM trackrelay_shards)) AND lane IN ('live', 'bulk')
        AND key = ANY(CAST(:every AS text[])) AND job_id <> ALL(CAST(:exempt AS text[]))
    UNION
    SELECT job_id FROM trackrelay_backlog
    WHERE parts > 1 AND keys && CAST(:every AS text[]) AND job_id <> ALL(CAST(:exempt AS text[]))
""")
_JOBS = sa.text(f"""
    SELECT DISTINCT ON (job_id) lane, {BACKLOG.select_list} FROM trackrelay_backlog
    WHERE job_id = ANY(CAST(:ids AS text[])) ORDER BY job_id
""")
_load_job = BACKLOG.loader(Job, "lane")


def waiting_jobs(connection: sa.Connection, forms: KeyForms, exempt: Sequence[str]) -> list[str]:
    """Return the ids of the person's jobs in the backlog."""
    rows = connection.execute(_WAITING, {"every": forms.every, "exempt": list(exempt)})
    return sorted(row.job_id for row in rows)


def load_waiting(connection: sa.Connection, ids: Sequence[str]) -> list[Job]:
    """Return the jobs among ``ids`` that are in the backlog."""
    rows = connection.execute(_JOBS, {"ids": text_array(ids)})
    return [_load_job(row, row.lane) for row in rows]


def erase_waiting(
    connection: sa.Connection, ids: Sequence[str], forms: KeyForms, merge_delay_s: float
) -> list[int]:
    """Take jobs out of the backlog for good. What waited behind them becomes due.

    Returns:
        the shards in which something may be due now.
    """
    shards.lock(connection, backlog.shards_of(connection, ids))
    found = load_waiting(connection, ids)
    jobs = [job.with_(keys=forms.hide(job.keys), plan_note=None) for job in found]
    ledger.record_dropped(connection, jobs, LedgerOutcome.ERASED)
    left = backlog.remove(connection, [job.id for job in jobs])
    backlog.promote(connection, left, merge_delay_s)
    return sorted({shard for shard, _, _ in left})


# -- the dead letters

_ERASED = """
    body = NULL, raw = NULL, error = NULL, field = NULL, trace = NULL, idempotency_key = NULL,
    plan_note = NULL, state = CASE state WHEN 'delivered' THEN 'delivered' ELSE 'discarded' END,
    updated_at = clock_timestamp(), history = jsonb_build_array(
        jsonb_build_object('at', extract(epoch FROM clock_timestamp()), 'what', 'erased'))
"""
_HAS_CONTENT = f"""(body IS NOT NULL OR raw IS NOT NULL OR error IS NOT NULL OR field IS NOT NULL
    OR trace IS NOT NULL OR idempotency_key IS NOT NULL OR plan_note IS NOT NULL
    OR state IN ('open', 'replaying') OR {_NAMED})"""
# The bytes of an entry that could not be decoded say whose it was, if they name the person as
# producers do.
_LETTERS = f"""job_id <> ALL(CAST(:exempt AS text[])) AND {_HAS_CONTENT} AND (
    {_THEIRS} OR reason = 'undecodable' AND EXISTS (
        SELECT 1 FROM unnest(CAST(:tokens AS bytea[])) AS token
        WHERE position(token IN raw) > 0))"""
_COUNT_LETTERS = sa.text(f"SELECT count(*) FROM trackrelay_dead_letters WHERE {_LETTERS}")
_LETTER_BODIES = sa.text(f"""
    SELECT CAST(body AS text) AS body FROM trackrelay_dead_letters
    WHERE {_THEIRS} AND body IS NOT NULL LIMIT :most
""")
_ERASE_LETTERS = sa.text(f"""
    UPDATE trackrelay_dead_letters SET {_ERASED}, key = {_HIDDEN.format(column="key")},
        other_key = {_HIDDEN.format(column="other_key")}
    WHERE {_LETTERS}
""")
_ERASE_LETTERS_OF_JOBS = sa.text(f"""
    UPDATE trackrelay_dead_letters SET {_ERASED}
    WHERE job_id = ANY(CAST(:ids AS text[])) AND state <> 'delivered'
""")


def count_letters(
    connection: sa.Connection, forms: KeyForms, tokens: Sequence[bytes], exempt: Sequence[str]
) -> int:
    """Return how many dead letters of the person have any content.

    Args:
        tokens: bytes by which an entry that could not be decoded is known as theirs.
        exempt: jobs that tell Customer.io.
    """
    values = forms.parameters() | {"tokens": list(tokens), "exempt": list(exempt)}
    return int(connection.execute(_COUNT_LETTERS, values).scalar_one())


def letter_bodies(connection: sa.Connection, forms: KeyForms, limit: int) -> list[bytes]:
    """Return documents of the person's dead letters, at most ``limit``."""
    rows = connection.execute(_LETTER_BODIES, forms.parameters() | {"most": limit})
    return [row.body.encode() for row in rows]


def erase_letters(
    connection: sa.Connection, forms: KeyForms, tokens: Sequence[bytes], exempt: Sequence[str]
) -> None:
    """Erase the content of the person's dead letters in every state; the rows stay."""
    values = forms.parameters() | {"tokens": list(tokens), "exempt": list(exempt)}
    connection.execute(_ERASE_LETTERS, values)


def erase_letters_of_jobs(connection: sa.Connection, ids: Sequence[str]) -> None:
    """Erase the content of the dead letters of these jobs, which will not be sent again."""
    if ids:
        connection.execute(_ERASE_LETTERS_OF_JOBS, {"ids": text_array(ids)})


# -- the ledger

_NAMES_THEM = f"""({_NAMED} OR {_THEIRS}
    AND (idempotency_key IS NOT NULL OR plan_note IS NOT NULL))"""
_COUNT_LEDGER = sa.text(f"""
    SELECT count(*) AS rows, count(*) FILTER (WHERE {_NAMES_THEM}) AS naming
    FROM trackrelay_ledger WHERE {_THEIRS}
""")
_HIDE_LEDGER = sa.text(f"""
    WITH found AS (
        SELECT id, period FROM trackrelay_ledger
        WHERE {_NAMES_THEM} LIMIT :most FOR UPDATE)
    UPDATE trackrelay_ledger l SET idempotency_key = NULL, plan_note = NULL,
        key = {_HIDDEN.format(column="key")}, other_key = {_HIDDEN.format(column="other_key")}
    FROM found WHERE l.id = found.id AND l.period = found.period
""")


def count_ledger(connection: sa.Connection, forms: KeyForms) -> tuple[int, int]:
    """Return how many ledger rows the person has, and how many of them name the person."""
    row = connection.execute(_COUNT_LEDGER, forms.parameters()).one()
    return row.rows, row.naming


def hide_ledger(connection: sa.Connection, forms: KeyForms) -> int:
    """Hide the person in one chunk of ledger rows. Return how many; call until it is 0."""
    values = forms.parameters() | {"most": CHUNK}
    return int(connection.execute(_HIDE_LEDGER, values).rowcount)


# -- verification

#: Tables that may hold what was sent to a person, by their key.
_BY_KEY = ("trackrelay_sent", "trackrelay_verdicts")
_BY_ANY_FORM = "key = ANY(CAST(:every AS text[]))"
_EXISTS = sa.text("SELECT to_regclass(:name) IS NOT NULL")


def count_verification(connection: sa.Connection, forms: KeyForms) -> int:
    """Return how many rows remember what was sent to the person."""
    return sum(
        connection.execute(
            sa.text(f"SELECT count(*) FROM {table} WHERE {_BY_ANY_FORM}"), {"every": forms.every}
        ).scalar_one()
        for table in _tables_by_key(connection)
    )


def erase_verification(connection: sa.Connection, forms: KeyForms) -> None:
    """Delete the rows that remember what was sent to the person."""
    for table in _tables_by_key(connection):
        connection.execute(
            sa.text(f"DELETE FROM {table} WHERE {_BY_ANY_FORM}"), {"every": forms.every}
        )


def _tables_by_key(connection: sa.Connection) -> list[str]:
    # An older database lacks them while it is being upgraded.
    return [table for table in _BY_KEY if connection.execute(_EXISTS, {"name": table}).scalar_one()]


# -- links and mentions

_LINKED = sa.text(f"""
    SELECT name, count(*) AS jobs FROM (
        SELECT unnest(ARRAY[key, other_key]) AS name FROM trackrelay_ledger
        WHERE other_key IS NOT NULL AND {_THEIRS}
        UNION ALL
        SELECT unnest(ARRAY[key, other_key]) FROM trackrelay_dead_letters
        WHERE other_key IS NOT NULL AND {_THEIRS}
        UNION ALL
        SELECT unnest(keys) FROM trackrelay_backlog
        WHERE parts > 1 AND sends AND keys && CAST(:every AS text[])) pairs
    WHERE name <> ALL(CAST(:every AS text[])) GROUP BY name ORDER BY jobs DESC, name LIMIT 50
""")
_MENTIONS = """
    SELECT count(*) AS jobs, (array_agg(job_id ORDER BY job_id))[1:20] AS ids FROM {table}
    WHERE key <> ALL(CAST(:every AS text[])) AND CAST(body AS text) ~ :pattern {further}
"""
_BACKLOG_MENTIONS = sa.text(
    _MENTIONS.format(
        table="trackrelay_backlog",
        further="AND sends AND NOT keys && CAST(:every AS text[])",
    )
)
_LETTER_MENTIONS = sa.text(
    _MENTIONS.format(
        table="trackrelay_dead_letters",
        further="AND (other_key IS NULL OR other_key <> ALL(CAST(:every AS text[])))",
    )
)


def linked_keys(connection: sa.Connection, forms: KeyForms) -> dict[str, int]:
    """Return the keys that jobs name beside the person's, as stored, and in how many jobs."""
    rows = connection.execute(_LINKED, forms.parameters())
    return {row.name: row.jobs for row in rows}


def mentions(
    connection: sa.Connection, forms: KeyForms, pattern: str
) -> dict[str, tuple[int, list[str]]]:
    """Return how many jobs of others name the person in their document, and some of their ids.

    Args:
        forms: of the person.
        pattern: a regular expression that finds the name.
    """
    values = {"every": forms.every, "pattern": pattern}
    found = {}
    for place, statement in (
        ("backlog", _BACKLOG_MENTIONS),
        ("dead_letters", _LETTER_MENTIONS),
    ):
        row = connection.execute(statement, values).one()
        found[place] = (row.jobs, list(row.ids or ()))
    return found
