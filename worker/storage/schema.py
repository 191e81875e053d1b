"""Run the migrations, which are found by package and never by the current folder."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError

import trackrelay

from .tables import VERSION_TABLE

_VERSION_TABLE = sa.text(f"SELECT to_regclass('{VERSION_TABLE}')")
_REVISION = sa.text(f"SELECT version_num FROM {VERSION_TABLE}")


class UnknownRevisionError(Exception):
    """There is no such revision."""


def migrations_folder() -> Path:
    """Return the folder of the migrations."""
    return Path(trackrelay.__file__).parent / "migrations"


def head() -> str:
    """Return the newest revision that this version of trackrelay knows."""
    revision = ScriptDirectory(str(migrations_folder())).get_current_head()
    assert revision is not None
    return revision


def current(connection: sa.Connection) -> str | None:
    """Return the database's revision, or None if it has no trackrelay tables."""
    # Alembic's MigrationContext logs two lines, and `status` calls this every few seconds.
    if connection.execute(_VERSION_TABLE).scalar() is None:
        return None
    revision = connection.execute(_REVISION).scalar()
    return None if revision is None else str(revision)


def upgrade(connection: sa.Connection, revision: str = "head") -> None:
    """Bring the database to ``revision``. Leave it alone if a newer version has migrated it."""
    present = current(connection)
    if present is None or is_known(present):
        command.upgrade(_config(connection), revision)


def downgrade(connection: sa.Connection, revision: str) -> None:
    """Downgrade the database to ``revision``. ``base`` removes all trackrelay tables.

    Raises:
        UnknownRevisionError: this version does not know ``revision``, or the database's present
            one.
    """
    try:
        command.downgrade(_config(connection), revision)
    except CommandError as error:
        raise UnknownRevisionError(
            f"the tables cannot be taken back to {revision!r}: {error}"
        ) from None


def is_known(revision: str) -> bool:
    """Return whether this version of trackrelay has the migration ``revision``."""
    scripts = ScriptDirectory(str(migrations_folder())).walk_revisions()
    return revision in {script.revision for script in scripts}


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["connection"] = connection
    return config


def problem(connection: sa.Connection) -> str | None:
    """Say in one sentence what is wrong with the tables, or return None if they fit this version.

    A newer revision is accepted: migrations only add, so workers of the previous version still run
    during an upgrade.
    """
    revision = current(connection)
    if revision is None:
        return "the database has no trackrelay tables: run `trackrelay migrate`"
    if is_known(revision) and revision != head():
        return (
            f"the database is at revision {revision}, this version of trackrelay needs {head()}: "
            "run `trackrelay migrate`"
        )
    return None
