"""Jobs that may have caused a complaint of Customer.io."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from .ledger_periods import SINCE_PERIOD, first_since
from .pg_values import text_array

#: Jobs of one person that are looked at.
MAX_SUSPECTS = 200

_SUSPECTS = sa.text(f"""
    SELECT id, key, other_key, operation, source,
        CAST(extract(epoch FROM enqueued_at) AS float8) AS enqueued_at,
        CAST(extract(epoch FROM delivered_at) AS float8) AS delivered_at
    FROM trackrelay_ledger
    WHERE outcome = 'delivered' AND (id = ANY(CAST(:ids AS text[]))
        OR {SINCE_PERIOD}
            AND (key = ANY(CAST(:keys AS text[])) OR other_key = ANY(CAST(:keys AS text[])))
            AND (enqueued_at BETWEEN to_timestamp(:first) AND to_timestamp(:last)
                OR delivered_at BETWEEN to_timestamp(:first) AND to_timestamp(:last)))
    ORDER BY delivered_at DESC LIMIT :limit
""")
_SENT_BY = sa.text("""
    SELECT items -> CAST(:item AS text) ->> 2 AS job FROM trackrelay_sent
    WHERE key = ANY(CAST(:keys AS text[]))
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectJob:
    """A delivered job. Times are unix seconds."""

    id: str
    key: str
    operation: str
    source: str | None
    enqueued_at: float
    delivered_at: float
    #: Whether it is remembered as the one that sent the item of the complaint.
    sent_item: bool = False


def suspects(
    connection: sa.Connection,
    keys: Collection[str],
    *,
    item: str,
    at: float,
    near_s: float,
    job_id: str | None = None,
) -> list[SuspectJob]:
    """Return the jobs that may have caused a complaint.

    Args:
        connection: of the workers' database.
        keys: the stored keys of the person.
        item: what the complaint is about.
        at: when it was made, in unix seconds.
        near_s: how far in time a job may be from it.
        job_id: the job that the complaint names.
    """
    values = {
        "ids": text_array([job_id] if job_id else []),
        "keys": text_array(sorted(keys)),
        "first": at - near_s,
        "last": at + near_s,
        "first_period": first_since(at - near_s),
        "limit": MAX_SUSPECTS,
    }
    sent = {row.job for row in connection.execute(_SENT_BY, {"item": item, "keys": values["keys"]})}
    return [
        SuspectJob(
            id=row.id,
            key=row.key,
            operation=row.operation,
            source=row.source,
            enqueued_at=row.enqueued_at,
            delivered_at=row.delivered_at,
            sent_item=row.id in sent,
        )
        for row in connection.execute(_SUSPECTS, values)
    ]
