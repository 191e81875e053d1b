"""Find what happened to jobs that an outbox relayed and still keeps."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

# Of a job with keys in two shards each holder keeps its own part: until all are there, it has not arrived.
_SETTLED = sa.text("""
    SELECT id FROM trackrelay_ledger WHERE id = ANY(CAST(:ids AS text[]))
    UNION ALL
    SELECT job_id FROM trackrelay_dead_letters
        WHERE job_id = ANY(CAST(:ids AS text[])) AND (:discarded OR state IN ('open', 'replaying'))
    UNION ALL
    SELECT job_id FROM trackrelay_backlog WHERE job_id = ANY(CAST(:ids AS text[]))
        GROUP BY job_id HAVING count(*) >= max(parts)
""")


def settled(connection: sa.Connection, ids: Sequence[str], *, discarded: bool) -> set[str]:
    """Those of the jobs ``ids`` that are delivered, dead or wholly in the backlog.

    Args:
        discarded: whether a dead letter that is done with counts. It says that its job arrived once; a later call of the
            same id would be delivered all the same.
    """
    if not ids:
        return set()
    return {
        row.id for row in connection.execute(_SETTLED, {"ids": list(ids), "discarded": discarded})
    }
