"""Add the endpoint family of each waiting job, and the lease token of each shard's holder.

While the endpoints of one family fail, jobs of other families are found by the index without a
scan. The token identifies a holder when Postgres has failed over to a replica that lacked the
latest fence, and gives out the same fence twice.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("trackrelay_shards", sa.Column("holder", sa.Text(), nullable=True))
    op.add_column(
        "trackrelay_backlog",
        sa.Column("family", sa.String(length=10), server_default="v2", nullable=False),
    )
    op.execute("""
        UPDATE trackrelay_backlog SET family = CASE
            WHEN operation LIKE 'segment.%' THEN 'segments'
            WHEN operation LIKE 'form.%' THEN 'forms'
            WHEN operation LIKE 'delivery.metric%' THEN 'metrics'
            WHEN operation LIKE 'delivery.unsubscribe%' THEN 'metrics'
            ELSE 'v1_events' END
        WHERE operation LIKE 'segment.%' OR operation LIKE 'form.%'
            OR operation LIKE 'delivery.metric%' OR operation LIKE 'delivery.unsubscribe%'
            OR operation LIKE 'anonymous.%' OR octet_length(CAST(body AS text)) > 32000
    """)
    op.drop_index("ix_trackrelay_backlog_due", table_name="trackrelay_backlog")
    op.create_index(
        "ix_trackrelay_backlog_due",
        "trackrelay_backlog",
        ["shard", "lane", "family", "position"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_trackrelay_backlog_due", table_name="trackrelay_backlog")
    op.create_index(
        "ix_trackrelay_backlog_due",
        "trackrelay_backlog",
        ["shard", "lane", "position"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.drop_column("trackrelay_backlog", "family")
    op.drop_column("trackrelay_shards", "holder")
