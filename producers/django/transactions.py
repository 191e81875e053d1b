"""The transactions around a call."""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections


def open_transactions() -> frozenset[str]:
    """Return the aliases of the databases that have an open transaction in this thread.

    The transaction of a ``TestCase`` counts only for ``default``. There ``captureOnCommitCallbacks()`` takes the place of the
    commit.
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
    # The caller commits by hand. Django's on_commit() then raises, because it does not see the commit.
    return connection.connection is not None and not connection.autocommit
