"""Create the table of incidents: when jobs were lost, and how many."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "trackrelay_incidents",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("generation", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("streams", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("settled_low", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("settled_high", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("relayed_again", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("at_least", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("at_most", sa.BigInteger(), nullable=True),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trackrelay_incidents")),
    )


def downgrade() -> None:
    op.drop_table("trackrelay_incidents")
