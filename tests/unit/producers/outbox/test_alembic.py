"""The filter for an application's Alembic ignores our tables, and compares its own outbox table."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from trackrelay.alembic import include_object
from trackrelay.outbox import table

OTHERS = ("trackrelay_ledger", "trackrelay_alembic_version", "forgotten")


@pytest.fixture
def connection() -> Any:
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        for name in OTHERS:
            connection.exec_driver_sql(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, key TEXT)")
            connection.exec_driver_sql(f"CREATE INDEX ix_{name}_key ON {name} (key)")
        yield connection
    engine.dispose()


def differences(connection: sa.Connection, metadata: sa.MetaData) -> list[tuple[str, str]]:
    """What the next migration would do."""
    context = MigrationContext.configure(connection, opts={"include_object": include_object})
    return [(what, item.name) for what, item, *_ in compare_metadata(context, metadata)]


def test_tables_that_the_application_has_no_model_of_are_dropped_unless_they_are_ours(
    connection: sa.Connection,
) -> None:
    found = differences(connection, sa.MetaData())
    assert found == [("remove_index", "ix_forgotten_key"), ("remove_table", "forgotten")]


def test_the_outbox_among_the_applications_own_tables_is_made_and_kept_up_to_date(
    connection: sa.Connection,
) -> None:
    theirs = sa.MetaData()
    theirs.reflect(connection, only=["forgotten"])
    table.to_metadata(theirs)
    assert ("add_table", "trackrelay_outbox") in differences(connection, theirs)

    theirs.create_all(connection)
    assert differences(connection, theirs) == []

    connection.exec_driver_sql("DROP INDEX ix_trackrelay_outbox_unrelayed")
    assert differences(connection, theirs) == [("add_index", "ix_trackrelay_outbox_unrelayed")]
