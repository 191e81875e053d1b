"""Counters of jobs and requests, by the minute."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "trackrelay_counters",
        sa.Column("period", sa.String(length=6), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("sum_ms", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("buckets", postgresql.ARRAY(sa.BigInteger()), nullable=True),
        sa.PrimaryKeyConstraint(
            "period", "at", "shard", "name", "labels", name=op.f("pk_trackrelay_counters")
        ),
    )


def downgrade() -> None:
    op.drop_table("trackrelay_counters")
