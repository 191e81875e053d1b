"""Looking through an outbox for what was not relayed: what was is in the streams, or further on."""

from __future__ import annotations

from trackrelay.worker.cli.common.outbox_reader import Outbox, WaitingRow
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.queries.job_search import Trace

from .matches import Matcher
from .query import Asked


def look(
    outbox: Outbox, generation: str | None, asked: Asked, hasher: KeyHasher | None, most: int
) -> tuple[list[Trace], bool]:
    """The jobs that are meant, among the first ``most`` rows that wait (0: all), and whether those were all.

    Args:
        generation: of the queue in Redis; None: not known.
    """
    matcher, traces = Matcher(asked, hasher), list[Trace]()
    # One more than is looked at, to know that there are more.
    for position, row in enumerate(
        outbox.rows(generation, asked.ids[:1], most + 1 if most else None)
    ):
        if most and position == most:
            return traces, False
        traces += _traces(row, matcher)
    return traces, True


def _traces(row: WaitingRow, matcher: Matcher) -> list[Trace]:
    return [
        Trace(
            place="outbox",
            id=job.id,
            operation=job.operation,
            keys=matcher.stored(job),
            enqueued_at=row.at,
            source=job.source,
            idempotency_key=job.idempotency_key,
            lane=row.lane,
            reason="queue_lost" if row.was_relayed else "not_relayed",
        )
        for _, job in matcher.jobs(row.entry)
    ]
