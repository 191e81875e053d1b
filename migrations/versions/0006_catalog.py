"""The catalog, its counts by day, and the findings about it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "trackrelay_catalog",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        *map(_text, ("source", "operation", "name", "path", "type")),
        *map(_count, ("count", "bytes", "first_at", "last_at")),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trackrelay_catalog")),
    )
    op.create_index(
        "ix_trackrelay_catalog_names",
        "trackrelay_catalog",
        ["source", "operation", "name", "path", "type"],
        unique=True,
    )
    op.create_table(
        "trackrelay_catalog_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("catalog_id", sa.BigInteger(), autoincrement=False, nullable=False),
        _count("count"),
        sa.PrimaryKeyConstraint("day", "catalog_id", name=op.f("pk_trackrelay_catalog_days")),
    )
    op.create_table(
        "trackrelay_findings",
        *map(_text, ("key", "rule")),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_trackrelay_findings")),
    )


def downgrade() -> None:
    op.drop_table("trackrelay_findings")
    op.drop_table("trackrelay_catalog_days")
    op.drop_table("trackrelay_catalog")
