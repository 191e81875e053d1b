"""Run the migrations with the connection of `trackrelay migrate`."""

from __future__ import annotations

from alembic import context

from trackrelay.worker.storage.tables import METADATA, VERSION_TABLE


def is_ours(name: str | None, kind: str, parents: object) -> bool:
    """Return whether a table is ours. The database may be shared with an application."""
    return kind != "table" or (name or "").startswith("trackrelay_")


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    include_name=is_ours,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
