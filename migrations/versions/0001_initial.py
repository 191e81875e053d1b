"""Create the tables of jobs, the shards and the state."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "trackrelay_backlog",
        sa.Column("job_id", sa.String(length=26, collation="C"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("lane", sa.String(length=4), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sends", sa.Boolean(), nullable=False),
        sa.Column("parts", sa.SmallInteger(), nullable=False),
        sa.Column("keys", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("shards", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("trace", sa.Text(), nullable=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("enqueued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("age_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("max_batch", sa.SmallInteger(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replayed", sa.Boolean(), nullable=False),
        sa.Column("behind", sa.BigInteger(), nullable=True),
        sa.Column("history", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "key", name=op.f("pk_trackrelay_backlog")),
    )
    op.create_index(
        "ix_trackrelay_backlog_due",
        "trackrelay_backlog",
        ["shard", "lane", "position"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_trackrelay_backlog_behind",
        "trackrelay_backlog",
        ["shard", "key"],
        unique=False,
        postgresql_where=sa.text("behind IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_trackrelay_backlog_idempotency_key"),
        "trackrelay_backlog",
        ["idempotency_key"],
        unique=False,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_trackrelay_backlog_shard_lane_key_position"),
        "trackrelay_backlog",
        ["shard", "lane", "key", "position"],
        unique=False,
    )
    op.create_index(
        "ix_trackrelay_backlog_two_keys",
        "trackrelay_backlog",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("parts > 1 AND due_at IS NOT NULL"),
    )
    op.create_table(
        "trackrelay_dead_letters",
        sa.Column("job_id", sa.String(length=26, collation="C"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("other_key", sa.Text(), nullable=True),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("trace", sa.Text(), nullable=True),
        sa.Column("lane", sa.String(length=4), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("field", sa.Text(), nullable=True),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("enqueued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("died_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("history", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_trackrelay_dead_letters")),
    )
    op.create_index(
        op.f("ix_trackrelay_dead_letters_idempotency_key"),
        "trackrelay_dead_letters",
        ["idempotency_key"],
        unique=False,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_trackrelay_dead_letters_key"), "trackrelay_dead_letters", ["key"], unique=False
    )
    op.create_index(
        op.f("ix_trackrelay_dead_letters_state_reason_died_at"),
        "trackrelay_dead_letters",
        ["state", "reason", "died_at"],
        unique=False,
    )
    op.create_table(
        "trackrelay_ledger",
        sa.Column("id", sa.String(length=26, collation="C"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("other_key", sa.Text(), nullable=True),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("enqueued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trackrelay_ledger")),
    )
    op.create_index(
        op.f("ix_trackrelay_ledger_delivered_at"),
        "trackrelay_ledger",
        ["delivered_at"],
        unique=False,
        postgresql_using="brin",
    )
    op.create_index(
        op.f("ix_trackrelay_ledger_idempotency_key"),
        "trackrelay_ledger",
        ["idempotency_key"],
        unique=False,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_trackrelay_ledger_key_enqueued_at"),
        "trackrelay_ledger",
        ["key", "enqueued_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_trackrelay_ledger_other_key"),
        "trackrelay_ledger",
        ["other_key"],
        unique=False,
        postgresql_where=sa.text("other_key IS NOT NULL"),
    )
    op.create_table(
        "trackrelay_shards",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_position", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_trackrelay_shards")),
    )
    op.create_table(
        "trackrelay_state",
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("value", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_trackrelay_state")),
    )


def downgrade() -> None:
    op.drop_table("trackrelay_state")
    op.drop_table("trackrelay_shards")
    op.drop_index(
        op.f("ix_trackrelay_ledger_other_key"),
        table_name="trackrelay_ledger",
        postgresql_where=sa.text("other_key IS NOT NULL"),
    )
    op.drop_index(op.f("ix_trackrelay_ledger_key_enqueued_at"), table_name="trackrelay_ledger")
    op.drop_index(
        op.f("ix_trackrelay_ledger_idempotency_key"),
        table_name="trackrelay_ledger",
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.drop_index(
        op.f("ix_trackrelay_ledger_delivered_at"),
        table_name="trackrelay_ledger",
        postgresql_using="brin",
    )
    op.drop_table("trackrelay_ledger")
    op.drop_index(
        op.f("ix_trackrelay_dead_letters_state_reason_died_at"),
        table_name="trackrelay_dead_letters",
    )
    op.drop_index(op.f("ix_trackrelay_dead_letters_key"), table_name="trackrelay_dead_letters")
    op.drop_index(
        op.f("ix_trackrelay_dead_letters_idempotency_key"),
        table_name="trackrelay_dead_letters",
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.drop_table("trackrelay_dead_letters")
    op.drop_index(
        op.f("ix_trackrelay_backlog_shard_lane_key_position"), table_name="trackrelay_backlog"
    )
    op.drop_index(
        op.f("ix_trackrelay_backlog_idempotency_key"),
        table_name="trackrelay_backlog",
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.drop_index(
        "ix_trackrelay_backlog_due",
        table_name="trackrelay_backlog",
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_trackrelay_backlog_two_keys",
        table_name="trackrelay_backlog",
        postgresql_where=sa.text("parts > 1 AND due_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_trackrelay_backlog_behind",
        table_name="trackrelay_backlog",
        postgresql_where=sa.text("behind IS NOT NULL"),
    )
    op.drop_table("trackrelay_backlog")
