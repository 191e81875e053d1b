"""Which transactions a call is made in, and waiting for all of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections


def open_transactions() -> frozenset[str]:
    """The aliases of the databases in whose transactions this thread is.

    The transaction that a ``TestCase`` wraps around a test counts for ``default`` alone, as for anything else that waits for a
    commit: ``captureOnCommitCallbacks()`` then stands for it.
    """
    return frozenset(
        connection.alias for connection in connections.all(initialized_only=True) if _is_in_transaction(connection)
    )


def _is_in_transaction(connection: Any) -> bool:
    if connection.in_atomic_block:
        own = [block for block in connection.atomic_blocks if not block._from_testcase]
        return bool(own) or connection.alias == DEFAULT_DB_ALIAS
    # Somebody who commits by hand: Django knows of no moment to wait for, and says so in on_commit().
    return connection.connection is not None and not connection.autocommit


def after_commit(aliases: Collection[str], act: Callable[[], None]) -> None:
    """Call ``act`` when the transactions of all ``aliases`` are committed; never, if one of them (or a savepoint around this
    call) is rolled back."""
    waiting = set(aliases)

    def committed(alias: str) -> None:
        waiting.discard(alias)
        if not waiting:
            act()

    for alias in aliases:
        connections[alias].on_commit(functools.partial(committed, alias), robust=True)
