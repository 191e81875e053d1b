"""Which names belong to one person, as keyed hashes; and how long an event was ever silent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "trackrelay_identities",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("how", sa.String(10), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("job_id", sa.String(26), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "name", "how", "person", "source", name=op.f("pk_trackrelay_identities")
        ),
    )
    op.add_column(
        "trackrelay_catalog",
        sa.Column("longest_gap_s", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
    )
    # How long the pauses were until now is not known. A week is more than most of them.
    op.execute("UPDATE trackrelay_catalog SET longest_gap_s = 604800")


def downgrade() -> None:
    op.drop_column("trackrelay_catalog", "longest_gap_s")
    op.drop_table("trackrelay_identities")
