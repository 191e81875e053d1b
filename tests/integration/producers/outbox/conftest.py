"""Applications with a database of their own: PostgreSQL and SQLite."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from trackrelay.outbox import create_table, table


@pytest.fixture(params=["postgresql", "sqlite"])
def outbox_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An application's database, without our table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'app.db'}"
    return str(request.getfixturevalue("empty_database_url"))


@pytest.fixture
def engine(outbox_url: str) -> Iterator[sa.Engine]:
    """The application's engine, on a database that has the outbox."""
    engine = sa.create_engine(outbox_url.replace("postgresql://", "postgresql+psycopg://"))
    create_table(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def rows(engine: sa.Engine) -> Callable[[], list[Any]]:
    """The committed rows, in order."""

    def read() -> list[Any]:
        with engine.connect() as connection:
            return list(connection.execute(sa.select(table).order_by(table.c.id)))

    return read
