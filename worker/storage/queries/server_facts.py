"""The database server itself, and what we may do there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

_SERVER = sa.text("""
    SELECT current_setting('server_version') AS version, extract(epoch FROM clock_timestamp()) AS now,
        pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only
""")
_PRIVILEGES = sa.text("""
    SELECT name FROM unnest(CAST(:tables AS text[])) AS name
    WHERE to_regclass(quote_ident(name)) IS NULL
        OR NOT (has_table_privilege(quote_ident(name), 'SELECT') AND has_table_privilege(quote_ident(name), 'INSERT')
                AND has_table_privilege(quote_ident(name), 'UPDATE') AND has_table_privilege(quote_ident(name), 'DELETE'))
""")


@dataclass(frozen=True, slots=True)
class Server:
    """What the server says of itself."""

    version: str
    #: Unix seconds.
    now: float
    read_only: bool


def server(connection: sa.Connection) -> Server:
    """Which server this is."""
    row = connection.execute(_SERVER).one()
    return Server(str(row.version).split()[0], float(row.now), bool(row.read_only))


def missing_privileges(connection: sa.Connection, tables: Sequence[str]) -> list[str]:
    """The tables among ``tables`` that we may not read and write."""
    return [row.name for row in connection.execute(_PRIVILEGES, {"tables": list(tables)})]
