"""Replaying dead letters: back into the backlog, at the end of their keys' queues, unless something newer was delivered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from trackrelay.worker.reasons import DeferReason

from . import backlog, ledger, shards
from .backlog import BacklogItem
from .dead_letter_queries import DeadLetter
from .pg_values import text_array
from .shards import LockedShard
from .stored_job import Job

# Of two jobs enqueued in the same millisecond, a removal is the later one if it was delivered after the other had died:
# it is always settled before anything that comes after it for its person is sent.
_LATER = """
    SELECT l.{columns} FROM {table} l
    WHERE l.{column} = asked.key AND l.{id} <> asked.id AND l.enqueued_at >= to_timestamp(asked.enqueued_at)
        AND {further}
    ORDER BY l.enqueued_at DESC LIMIT 1"""


def _later(table: str, column: str, *, removal: bool) -> str:
    strictly = "l.enqueued_at > to_timestamp(asked.enqueued_at)"
    if table == "trackrelay_ledger":
        columns, id = "id, l.operation, l.enqueued_at, l.delivered_at", "id"
        tie = f"({strictly} OR l.delivered_at > to_timestamp(asked.died_at))"
    else:
        columns, id = "job_id, l.operation, l.enqueued_at, CAST(NULL AS timestamptz)", "job_id"
        tie = strictly
    further = f"l.operation IN ({ledger.REMOVALS}) AND {tie}" if removal else strictly
    kind = "removal" if removal else "job"
    inner = _LATER.format(columns=columns, table=table, column=column, id=id, further=further)
    return f"""
    SELECT asked.id AS letter, '{kind}' AS kind, later.* FROM asked CROSS JOIN LATERAL ({inner}
    ) AS later (id, operation, enqueued_at, delivered_at)"""


_PLACES = [
    ("trackrelay_ledger", "key"),
    ("trackrelay_ledger", "other_key"),
    ("trackrelay_backlog", "key"),
]
_LATER_JOBS = sa.text(
    f"""
    WITH asked AS (
        SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:keys AS text[]), CAST(:enqueued AS float8[]),
            CAST(:died AS float8[])) AS row (id, key, enqueued_at, died_at)),
    found AS ({" UNION ALL ".join(_later(*place, removal=removal) for removal in (True, False) for place in _PLACES)})
    SELECT DISTINCT ON (letter, kind) letter, kind, id, operation, extract(epoch FROM enqueued_at) AS enqueued_at,
        extract(epoch FROM delivered_at) AS delivered_at
    FROM found ORDER BY letter, kind, found.enqueued_at DESC, found.delivered_at DESC NULLS LAST
    """
)
_WAITING_IDS = sa.text(
    "SELECT DISTINCT job_id FROM trackrelay_backlog WHERE job_id = ANY(CAST(:ids AS text[]))"
)

_REPLAYING = sa.text("""
    UPDATE trackrelay_dead_letters d SET state = 'replaying', updated_at = clock_timestamp(), operation = row.operation,
        key = row.key, other_key = row.other_key, body = CAST(row.body AS json),
        history = d.history || jsonb_build_array(CAST(row.event AS jsonb))
    FROM unnest(
        CAST(:id AS text[]), CAST(:version AS text[]), CAST(:operation AS text[]), CAST(:key AS text[]),
        CAST(:other_key AS text[]), CAST(:body AS text[]), CAST(:event AS text[])
    ) AS row (id, version, operation, key, other_key, body, event)
    WHERE d.job_id = row.id AND CAST(extract(epoch FROM d.updated_at) AS text) = row.version
    RETURNING d.job_id
""")

_DISCARDED = sa.text("""
    UPDATE trackrelay_dead_letters SET state = 'discarded', updated_at = clock_timestamp(),
        history = history || jsonb_build_array(CAST(:event AS jsonb))
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
    """What stands in the way of a replay."""

    #: The latest removal of one of its people.
    removal: Later | None = None
    #: The latest job of any of its keys.
    job: Later | None = None
    #: Its own job was delivered after all: it was enqueued again under the same id.
    delivered: bool = False
    #: It was discarded, and its job waits to be delivered: it was enqueued again.
    waiting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A letter, and the job that it becomes again."""

    letter: DeadLetter
    job: Job
    #: What the letter's history gets: who, when, what was changed.
    event: Mapping[str, Any]
    #: The id of the job that the same call, made again and not refused, would be.
    same_call: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids under which its operation may have been delivered."""
        return (self.letter.id,) if self.same_call is None else (self.letter.id, self.same_call)


def superseded(connection: sa.Connection, replays: Sequence[Replay]) -> dict[str, Superseded]:
    """What stands in the way of each, by the letter's id; letters in whose way there is nothing are left out.

    Besides what was delivered, what waits in the backlog counts: it will be delivered ahead of a replay.
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
        },
    ).all()
    found = {(row.letter, row.kind): _later_job(row) for row in rows}
    letter_of = {id: each.letter.id for each in replays for id in each.ids}
    delivered = {letter_of[id] for id in ledger.among(connection, list(letter_of))}
    waiting = {
        letter_of[row.job_id]
        for row in connection.execute(_WAITING_IDS, {"ids": text_array(list(letter_of))})
    }
    return {
        id: Superseded(
            found.get((id, "removal")), found.get((id, "job")), id in delivered, id in waiting
        )
        for id in {letter for letter, _ in found} | delivered | waiting
    }


def _later_job(row: Any) -> Later:
    delivered_at = None if row.delivered_at is None else float(row.delivered_at)
    return Later(row.id, row.operation, float(row.enqueued_at), delivered_at)


def replay(
    connection: sa.Connection,
    replays: Sequence[Replay],
    locked: Mapping[int, LockedShard],
    enqueued_before: Mapping[int, int],
    merge_delay_s: float,
) -> frozenset[str]:
    """Mark letters and put their jobs at the end of their keys' queues. The caller holds the shards' rows, and commits.

    Args:
        enqueued_before: for each shard, the number of the last entry of its bulk stream, all looked at in one moment.

    Returns:
        the ids of those that are on their way now; the others were changed by somebody else meanwhile, and stay as they are.
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
            "key": [each.job.keys[0] for each in in_order],
            "other_key": [
                each.job.keys[1] if len(each.job.keys) > 1 else None for each in in_order
            ],
            "body": [each.job.body.decode() for each in in_order],
            "event": [_event(each.event) for each in in_order],
        },
    )
    return frozenset(row.job_id for row in rows)


def discard(
    connection: sa.Connection, ids: Sequence[str], event: Mapping[str, Any]
) -> frozenset[str]:
    """Discard open letters: their rows stay. Returns the ids of those that were still open."""
    rows = connection.execute(_DISCARDED, {"ids": sorted(ids), "event": _event(event)})
    return frozenset(row.job_id for row in rows)


def _event(event: Mapping[str, Any]) -> str:
    # Postgres keeps no NUL in jsonb, and an escaped backslash before u0000 is not one.
    text = msgspec.json.encode(event).decode()
    return (
        text
        if "\\u0000" not in text
        else text.replace("\\\\", "\\u005c").replace("\\u0000", "\\ufffd")
    )
