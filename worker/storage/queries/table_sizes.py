"""How much the tables hold."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from trackrelay.worker.storage.ledger import PRUNABLE

_TOTALS = sa.text("""
    SELECT (SELECT count(*) FROM trackrelay_ledger) AS ledger,
        (SELECT count(DISTINCT job_id) FROM trackrelay_backlog) AS backlog,
        (SELECT count(*) FROM trackrelay_dead_letters) AS dead_letters
""")

_BACKLOG = sa.text("SELECT count(*) FROM trackrelay_backlog WHERE sends")
_PRUNABLE = sa.text(f"SELECT count(*) FROM trackrelay_ledger WHERE {PRUNABLE}")


def totals(connection: sa.Connection) -> dict[str, int]:
    """How many of what the tables hold, by its name in the singular."""
    row = connection.execute(_TOTALS).one()
    return {"ledger row": row.ledger, "waiting job": row.backlog, "dead letter": row.dead_letters}


def backlog_size(connection: sa.Connection) -> int:
    """How many jobs wait in the backlog."""
    return int(connection.execute(_BACKLOG).scalar_one())


def prunable(
    connection: sa.Connection, retention: timedelta, dead_letter_retention: timedelta
) -> int:
    """How many ledger rows pruning would delete; see :func:`trackrelay.worker.storage.ledger.prune`."""
    longer = max(retention, dead_letter_retention) + timedelta(days=1)
    values = {"retention_s": retention.total_seconds(), "longer_s": longer.total_seconds()}
    return int(connection.execute(_PRUNABLE, values).scalar_one())
