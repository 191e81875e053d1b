"""For applications whose own Alembic or Flask-Migrate works on a database with our tables."""

from __future__ import annotations

from typing import Any


def include_object(
    item: Any, name: str | None, kind: str, reflected: bool, compare_to: Any
) -> bool:
    """Leave our tables alone, as ``include_object`` of Alembic or Flask-Migrate.

    Without it ``alembic revision --autogenerate`` takes what ``trackrelay migrate`` made for
    leftovers, and drops it in the application's next migration. The outbox, where it is among the
    application's own tables, is compared like all of them.

    Args:
        item: a table, column, index or constraint, as Alembic hands it over.
        name: its name.
        kind: ``table``, ``column`` …
        reflected: whether it was found in the database.
        compare_to: what the application has under this name; None: nothing.

    Returns:
        False for a table of ours that is in the database and not among the application's own; True
        for everything else.
    """
    is_ours = kind == "table" and (name or "").startswith("trackrelay_")
    return not (is_ours and reflected and compare_to is None)
