"""The keys of forgotten people, and which jobs of theirs were dropped.

A holder learns of a change by the version in its shard's row.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "trackrelay_forgotten",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request", sa.String(length=26), nullable=False),
        sa.Column(
            "requested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("mode", sa.String(length=10), nullable=False),
        sa.Column("blocked", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("blocked_jobs", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("job_id", sa.String(length=26), nullable=True),
        sa.Column(
            "steps",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("receipt", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("allowed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_trackrelay_forgotten")),
    )
    op.add_column(
        "trackrelay_shards",
        sa.Column("block_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column(
        "trackrelay_ledger",
        sa.Column(
            "outcome", sa.String(length=10), server_default=sa.text("'delivered'"), nullable=False
        ),
    )


def downgrade() -> None:
    op.drop_column("trackrelay_ledger", "outcome")
    op.drop_column("trackrelay_shards", "block_version")
    op.drop_table("trackrelay_forgotten")
