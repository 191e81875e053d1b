"""Rows about names of events and attributes that an application made of a person's name.

Such rows hold counts of what everybody sent; nothing else tells whose name is in them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import sqlalchemy as sa

#: A shorter name of a person is a part of too many others, such as a size or a version.
MIN_LENGTH = 6
_TEXTS = {
    "trackrelay_catalog": "name, path",
    "trackrelay_plan_violations": "subject, path, expected, actual",
}


def _statement(verb: str) -> dict[str, sa.TextClause]:
    return {
        table: sa.text(f"{verb} FROM {table} WHERE lower(concat_ws(' ', {texts})) ~ :pattern")
        for table, texts in _TEXTS.items()
    }


_COUNT, _DELETE = _statement("SELECT count(*)"), _statement("DELETE")


def count_named(connection: sa.Connection, names: Sequence[str]) -> int:
    """Return how many rows have one of a person's names in theirs."""
    pattern = _pattern(names)
    if pattern is None:
        return 0
    counts = (connection.execute(each, {"pattern": pattern}) for each in _COUNT.values())
    return sum(int(each.scalar_one()) for each in counts)


def delete_named(connection: sa.Connection, names: Sequence[str]) -> None:
    """Delete these rows: what was observed under such a name is of no use."""
    pattern = _pattern(names)
    if pattern is not None:
        for statement in _DELETE.values():
            connection.execute(statement, {"pattern": pattern})


def _pattern(names: Sequence[str]) -> str | None:
    """Return a regular expression of Postgres that finds the names where they are whole words."""
    found = "|".join(re.escape(each.lower()) for each in names if len(each) >= MIN_LENGTH)
    return f"(^|[^[:alnum:]])({found})($|[^[:alnum:]])" if found else None
