"""Which transactions a call is made in."""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections


def open_transactions() -> frozenset[str]:
    """The aliases of the databases in whose transactions this thread is.

    The transaction that a ``TestCase`` wraps around a test counts for ``default`` alone, as for anything else that waits for a
    commit: ``captureOnCommitCallbacks()`` then stands for it.
    """
    return frozenset(
        connection.alias
        for connection in connections.all(initialized_only=True)
        if _is_in_transaction(connection)
    )


def _is_in_transaction(connection: Any) -> bool:
    if connection.in_atomic_block:
        own = [block for block in connection.atomic_blocks if not block._from_testcase]
        return bool(own) or connection.alias == DEFAULT_DB_ALIAS
    # Somebody who commits by hand: Django knows of no moment to wait for, and says so in on_commit().
    return connection.connection is not None and not connection.autocommit
