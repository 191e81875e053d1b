"""Replay dead letters: put their jobs at the end of their keys' backlog, or discard them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from trackrelay.worker.reasons import DeferReason

from . import backlog, ledger, shards
from .backlog import BacklogItem
from .dead_letter_queries import DeadLetter
from .ledger_periods import DAY_S, FRESH_DAYS
from .letter_history import appended
from .pg_values import sanitized_json, text_array
from .shards import LockedShard
from .sql_files import sql
from .stored_job import Job

_LATER = """
    SELECT asked.id AS letter, '{kind}' AS kind, later.* FROM {asked} AS asked
    CROSS JOIN LATERAL (
        SELECT l.{columns} FROM {table} l
        WHERE l.{key} = asked.key AND l.{id} <> asked.id
            AND l.enqueued_at >= to_timestamp(asked.enqueued_at) AND {condition}
        ORDER BY l.enqueued_at DESC LIMIT 1
    ) AS later (id, operation, enqueued_at, delivered_at)"""
# The index of the backlog begins with shard and lane. Without them, each letter would read all of
# it before Postgres 18.
_IN_ANY_SHARD = (
    "l.shard = ANY(ARRAY(SELECT shard FROM trackrelay_shards)) AND l.lane IN ('live', 'bulk')"
)


def _later(table: str, key: str, *, removal: bool) -> str:
    condition = "l.enqueued_at > to_timestamp(asked.enqueued_at)"
    is_ledger = table == "trackrelay_ledger"
    id = "id" if is_ledger else "job_id"
    delivered_at = "l.delivered_at" if is_ledger else "CAST(NULL AS timestamptz)"
    if removal:
        if is_ledger:
            condition = f"({condition} OR l.delivered_at > to_timestamp(asked.died_at))"
        condition = f"l.operation IN ({ledger.REMOVALS}) AND {condition}"
    if is_ledger:
        # Jobs of forgotten people are in the ledger, too, and were not delivered.
        condition = f"l.outcome = 'delivered' AND {_LATER_PERIOD} AND {condition}"
    else:
        condition = f"{_IN_ANY_SHARD} AND {condition}"
    return _LATER.format(
        kind="removal" if removal else "job",
        asked="asked" if removal else "(SELECT * FROM asked WHERE asks_newer)",
        columns=f"{id}, l.operation, l.enqueued_at, {delivered_at}",
        table=table,
        key=key,
        id=id,
        condition=condition,
    )


# What was enqueued later was recorded later; see `ledger_periods.first_since`.
_LATER_PERIOD = f"""(l.period <= 0
    OR l.period >= CAST(floor(asked.enqueued_at / {DAY_S}) AS int) - {FRESH_DAYS + 1})"""
_SEARCHED = [
    ("trackrelay_ledger", "key"),
    ("trackrelay_ledger", "other_key"),
    ("trackrelay_backlog", "key"),
]
_LATER_JOBS = sql(
    "later_jobs",
    searches=" UNION ALL ".join(
        _later(*place, removal=removal) for removal in (True, False) for place in _SEARCHED
    ),
)
_REPLAYING = sql(
    "mark_replaying",
    history=appended("d.history", "jsonb_build_array(CAST(row.event AS jsonb))"),
)
_WAITING_IDS = sa.text(
    "SELECT DISTINCT job_id FROM trackrelay_backlog WHERE job_id = ANY(CAST(:ids AS text[]))"
)

_DISCARDED = sa.text(f"""
    UPDATE trackrelay_dead_letters SET state = 'discarded', updated_at = clock_timestamp(),
        history = {appended("history", "jsonb_build_array(CAST(:event AS jsonb))")}
    WHERE job_id = ANY(CAST(:ids AS text[])) AND state = 'open' RETURNING job_id
""")


@dataclass(frozen=True, slots=True)
class Later:
    """A job that came after a dead letter, for the same key."""

    id: str
    operation: str
    #: Unix seconds.
    enqueued_at: float
    #: Unix seconds; None while it waits in the backlog.
    delivered_at: float | None


@dataclass(frozen=True, slots=True)
class Superseded:
    """What prevents a replay."""

    #: The latest later removal of one of its people.
    removal: Later | None = None
    #: The latest later job of any of its keys, if the replay asks for it.
    job: Later | None = None
    #: It was enqueued again under the same id, and delivered.
    delivered: bool = False
    #: It was discarded and enqueued again, and waits to be delivered.
    waiting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A dead letter, and the job that it becomes."""

    letter: DeadLetter
    job: Job
    #: Appended to the letter's history: who, when, what was changed.
    event: Mapping[str, Any]
    #: The id that the job of the same call would have, if it is repeated and not refused.
    same_call: str | None = None
    #: Whether a later job of its keys matters that removes nobody.
    asks_newer: bool = True

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids under which its operation may have been delivered."""
        return (self.letter.id,) if self.same_call is None else (self.letter.id, self.same_call)


def superseded(connection: sa.Connection, replays: Sequence[Replay]) -> dict[str, Superseded]:
    """Return what prevents each replay, by the letter's id.

    Letters that may be replayed are missing. A later job in the backlog counts as well, because it
    is delivered before the replay.
    """
    asked = [
        (each, key)
        for each in replays
        for key in dict.fromkeys((*each.letter.keys, *each.job.keys))
    ]
    rows = connection.execute(
        _LATER_JOBS,
        {
            "ids": [each.letter.id for each, _ in asked],
            "keys": [key for _, key in asked],
            "enqueued": [each.letter.enqueued_at for each, _ in asked],
            "died": [each.letter.first_died_at for each, _ in asked],
            "asks_newer": [each.asks_newer for each, _ in asked],
        },
    ).all()
    later = {
        (row.letter, row.kind): Later(row.id, row.operation, row.enqueued_at, row.delivered_at)
        for row in rows
    }
    letter_of = {id: each.letter.id for each in replays for id in each.ids}
    delivered = {letter_of[id] for id in ledger.among(connection, list(letter_of))}
    waiting = {
        letter_of[row.job_id]
        for row in connection.execute(_WAITING_IDS, {"ids": text_array(list(letter_of))})
    }
    return {
        id: Superseded(
            later.get((id, "removal")), later.get((id, "job")), id in delivered, id in waiting
        )
        for id in {letter for letter, _ in later} | delivered | waiting
    }


def replay(
    connection: sa.Connection,
    replays: Sequence[Replay],
    locked: Mapping[int, LockedShard],
    enqueued_before: Mapping[int, int],
    merge_delay_s: float,
) -> frozenset[str]:
    """Mark letters, and put their jobs at the end of their keys' backlog.

    The caller has locked the shards' rows, and commits.

    Args:
        enqueued_before: for each shard, the number of the last entry of its bulk stream, all read
            at one moment.

    Returns:
        the ids of the replayed letters. Somebody else has changed the others meanwhile.
    """
    marked = _mark(connection, replays)
    jobs = [each.job for each in replays if each.letter.id in marked]
    for shard in sorted({shard for job in jobs for shard in job.shards}):
        here = [
            BacklogItem(
                job=job,
                reason=DeferReason.REPLAYED,
                after_entry=enqueued_before[shard] if job.crosses_shards else None,
            )
            for job in jobs
            if shard in job.shards
        ]
        first = locked[shard].next_position
        backlog.insert(connection, shard, here, range(first, first + len(here)))
        shards.set_next_position(connection, shard, first + len(here))
    places: dict[backlog.Place, int] = {
        (shard, job.lane, key): 0
        for job in jobs
        for key, shard in zip(job.keys, job.shards, strict=True)
    }
    backlog.promote(connection, places, merge_delay_s)
    return marked


def _mark(connection: sa.Connection, replays: Sequence[Replay]) -> frozenset[str]:
    if not replays:
        return frozenset()
    in_order = sorted(replays, key=lambda each: each.letter.id)
    rows = connection.execute(
        _REPLAYING,
        {
            "id": [each.letter.id for each in in_order],
            "version": [each.letter.version for each in in_order],
            "operation": [each.job.operation for each in in_order],
            "key": [each.job.first_key for each in in_order],
            "other_key": [each.job.second_key for each in in_order],
            "body": [each.job.body.decode() for each in in_order],
            "event": [sanitized_json(each.event) for each in in_order],
        },
    )
    return frozenset(row.job_id for row in rows)


def discard(
    connection: sa.Connection, ids: Sequence[str], event: Mapping[str, Any]
) -> frozenset[str]:
    """Discard open letters, and return the ids of those that were open. Their rows stay."""
    rows = connection.execute(_DISCARDED, {"ids": sorted(ids), "event": sanitized_json(event)})
    return frozenset(row.job_id for row in rows)
