"""What was sent, as digests, and the verdicts on it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "trackrelay_sent",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("address", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("items", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_trackrelay_sent")),
    )
    op.create_index(
        "ix_trackrelay_sent_due_at",
        "trackrelay_sent",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_trackrelay_sent_last_sent_at", "trackrelay_sent", ["last_sent_at"], unique=False
    )
    op.create_table(
        "trackrelay_verdicts",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("job_id", sa.String(length=26, collation="C"), nullable=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=True),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("activity_id", sa.Text(), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trackrelay_verdicts")),
    )
    op.create_index(
        "ix_trackrelay_verdicts_open",
        "trackrelay_verdicts",
        ["key", "item"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(
        "ix_trackrelay_verdicts_activity_id", "trackrelay_verdicts", ["activity_id"], unique=True
    )
    op.create_index(
        op.f("ix_trackrelay_verdicts_checked_at"),
        "trackrelay_verdicts",
        ["checked_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_trackrelay_verdicts_job_id"), "trackrelay_verdicts", ["job_id"], unique=False
    )


def downgrade() -> None:
    op.drop_table("trackrelay_verdicts")
    op.drop_table("trackrelay_sent")
