"""How much the tables hold."""

from __future__ import annotations

import sqlalchemy as sa

_TOTALS = sa.text("""
    SELECT (SELECT count(*) FROM trackrelay_ledger) AS ledger,
        (SELECT count(DISTINCT job_id) FROM trackrelay_backlog) AS backlog,
        (SELECT count(*) FROM trackrelay_dead_letters) AS dead_letters
""")


def totals(connection: sa.Connection) -> dict[str, int]:
    """How many of what the tables hold, by its name in the singular."""
    row = connection.execute(_TOTALS).one()
    return {"ledger row": row.ledger, "waiting job": row.backlog, "dead letter": row.dead_letters}
