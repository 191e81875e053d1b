"""The versions of the tracking plan, what does not keep to them, and what it fixed in a job.

A holder learns of a change by the number in its shard's row.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"

_NOTED = ("trackrelay_ledger", "trackrelay_backlog", "trackrelay_dead_letters")


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "trackrelay_plans",
        sa.Column("version", sa.BigInteger(), sa.Identity(), nullable=False),
        *map(_text, ("name", "text")),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column(
            "applied_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        _text("applied_by"),
        _moment("in_force_until", nullable=True),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_trackrelay_plans")),
    )
    op.create_table(
        "trackrelay_plan_violations",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        *map(_text, ("source", "subject", "path", "kind")),
        sa.Column("action", sa.String(length=20), nullable=False),
        *map(_text, ("expected", "actual")),
        sa.Column("count", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("jobs", postgresql.ARRAY(sa.Text()), nullable=False),
        _moment("first_seen"),
        _moment("last_seen"),
        sa.PrimaryKeyConstraint(
            "day",
            "version",
            "source",
            "subject",
            "path",
            "kind",
            "action",
            name=op.f("pk_trackrelay_plan_violations"),
        ),
    )
    op.add_column(
        "trackrelay_shards",
        sa.Column("plan_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    for table in _NOTED:
        op.add_column(table, sa.Column("plan_note", sa.Text(), nullable=True))


def downgrade() -> None:
    for table in _NOTED:
        op.drop_column(table, "plan_note")
    op.drop_column("trackrelay_shards", "plan_version")
    op.drop_table("trackrelay_plan_violations")
    op.drop_table("trackrelay_plans")
