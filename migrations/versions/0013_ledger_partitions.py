"""Partition the ledger of a new installation by time. Others get the column that it needs.

Postgres cannot partition a table in place, and workers of the previous version cannot write into a
partitioned one. So their ledger stays as it is until an operator says `ledger partition`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

# Shards are set up after the first migration. From then on workers may run, with rows or without.
_IS_NEW = sa.text("""
    SELECT NOT EXISTS (SELECT 1 FROM trackrelay_ledger)
        AND NOT EXISTS (SELECT 1 FROM trackrelay_shards)
""")
_IS_PARTITIONED = sa.text(
    "SELECT relkind = 'p' FROM pg_class WHERE oid = 'trackrelay_ledger'::regclass"
)
_GRANTS = sa.text("""
    SELECT DISTINCT a.privilege_type AS privilege, coalesce(r.rolname, 'public') AS grantee
    FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
    LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE c.oid = 'trackrelay_ledger_old'::regclass AND a.grantee <> c.relowner
""")
_INDEXES = (
    ("delivered_at", "USING brin (delivered_at)"),
    ("idempotency_key", "(idempotency_key) WHERE idempotency_key IS NOT NULL"),
    ("key_enqueued_at", "(key, enqueued_at)"),
    ("other_key", "(other_key) WHERE other_key IS NOT NULL"),
)
_REMOVALS = (
    "CREATE INDEX ix_trackrelay_ledger_removals ON trackrelay_ledger (delivered_at) "
    "WHERE operation IN ('person.delete', 'person.suppress')"
)


def upgrade() -> None:
    # -1: a row of before the ledger was partitioned.
    op.add_column(
        "trackrelay_ledger",
        sa.Column("period", sa.Integer(), server_default=sa.text("-1"), nullable=False),
    )
    connection = op.get_bind()
    op.execute("LOCK TABLE trackrelay_ledger IN ACCESS EXCLUSIVE MODE")
    if connection.execute(_IS_NEW).scalar_one():
        _replace(connection, "PARTITION BY RANGE (period)")
        op.execute("ALTER TABLE trackrelay_ledger ALTER COLUMN period SET DEFAULT 0")
        op.execute(_REMOVALS)
        op.execute(
            "CREATE TABLE trackrelay_ledger_kept PARTITION OF trackrelay_ledger "
            "(CONSTRAINT pk_trackrelay_ledger_kept PRIMARY KEY (id)) FOR VALUES FROM (0) TO (1)"
        )
        op.execute("DROP TABLE trackrelay_ledger_old")


def downgrade() -> None:
    connection = op.get_bind()
    op.execute("LOCK TABLE trackrelay_ledger IN ACCESS EXCLUSIVE MODE")
    if connection.execute(_IS_PARTITIONED).scalar_one():
        _replace(connection, ", CONSTRAINT pk_trackrelay_ledger PRIMARY KEY (id)")
        op.execute(
            "INSERT INTO trackrelay_ledger SELECT * FROM trackrelay_ledger_old "
            "ON CONFLICT (id) DO NOTHING"
        )
        op.execute("DROP TABLE trackrelay_ledger_old")
    else:
        op.execute("DROP INDEX IF EXISTS ix_trackrelay_ledger_removals")
        op.execute(
            "ALTER TABLE trackrelay_ledger DROP CONSTRAINT IF EXISTS ck_trackrelay_ledger_before"
        )
    op.drop_column("trackrelay_ledger", "period")


def _replace(connection: sa.Connection, how: str) -> None:
    # A new, empty table of the same columns takes the name; the present one keeps the rows.
    inside, after = (how, "") if how.startswith(",") else ("", how)
    op.execute("ALTER TABLE trackrelay_ledger RENAME TO trackrelay_ledger_old")
    op.execute("ALTER INDEX IF EXISTS pk_trackrelay_ledger RENAME TO pk_trackrelay_ledger_old")
    for name, _ in (*_INDEXES, ("removals", "")):
        op.execute(
            f"ALTER INDEX IF EXISTS ix_trackrelay_ledger_{name} "
            f"RENAME TO ix_trackrelay_ledger_old_{name}"
        )
    op.execute(
        "CREATE TABLE trackrelay_ledger (LIKE trackrelay_ledger_old INCLUDING DEFAULTS "
        f"INCLUDING COMMENTS{inside}) {after}"
    )
    for name, definition in _INDEXES:
        op.execute(f"CREATE INDEX ix_trackrelay_ledger_{name} ON trackrelay_ledger {definition}")
    for grant in connection.execute(_GRANTS):
        grantee = "PUBLIC" if grant.grantee == "public" else f'"{grant.grantee}"'
        op.execute(f"GRANT {grant.privilege} ON trackrelay_ledger TO {grantee}")
