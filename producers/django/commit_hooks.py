"""Open transactions, and hooks after their commits, which run before those of other libraries.

If a hook raises, Django drops the hooks after it. Ours run first, so that no other library's hook
loses a job. In ``connection.run_on_commit`` they stay in the order of registration, because
``captureOnCommitCallbacks()`` and the handling of savepoints depend on it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

log = logging.getLogger("trackrelay")


def open_transactions() -> frozenset[str]:
    """Return the aliases of the databases that have an open transaction in this thread.

    The transaction of a ``TestCase`` counts only for ``default``. There
    ``captureOnCommitCallbacks()`` takes the place of the commit.
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
    # The caller commits by hand. Django's on_commit() then raises, because it does not see the
    # commit.
    return connection.connection is not None and not connection.autocommit


class CommitHook:
    """Call ``act`` when the last of the databases in ``waiting`` has committed.

    Args:
        alias: the database whose commit calls this hook.
        waiting: the databases that have not committed yet. The hooks of one call share it.
        act: the function to call.
        give_up: the function to call instead, if an interrupt ended an earlier hook.
    """

    def __init__(
        self,
        alias: str,
        waiting: set[str],
        act: Callable[[], None],
        give_up: Callable[[BaseException], None],
    ) -> None:
        self._alias = alias
        self._waiting = waiting
        self._act = act
        self.give_up = give_up
        # Django logs a hook by this name.
        self.__qualname__ = "trackrelay's hook"

    def __call__(self) -> None:
        """Note the commit of this hook's database."""
        self._waiting.discard(self._alias)
        if not self._waiting:
            self._act()


def after_commit(
    aliases: Collection[str], act: Callable[[], None], give_up: Callable[[BaseException], None]
) -> None:
    """Call ``act`` when the transactions of all ``aliases`` are committed.

    Do not call it if one of them, or a savepoint around this call, is rolled back.
    """
    waiting = set(aliases)
    for alias in aliases:
        connection = connections[alias]
        connection.on_commit(CommitHook(alias, waiting, act, give_up), robust=True)
        _run_ours_first(connection)


class _HookRunner:
    """Replace a connection's ``run_and_clear_commit_hooks``."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._run_others = connection.run_and_clear_commit_hooks

    def __call__(self) -> None:
        connection = self._connection
        connection.validate_no_atomic_block()
        hooks = connection.run_on_commit
        if ours := [each[1] for each in hooks if isinstance(each[1], CommitHook)]:
            others = [each for each in hooks if not isinstance(each[1], CommitHook)]
            connection.run_on_commit = others
            _run(ours)
        self._run_others()


def _run_ours_first(connection: Any) -> None:
    # If a later Django lacks that method, our hooks still run, in the order of registration.
    if not isinstance(getattr(connection, "run_and_clear_commit_hooks", None), _HookRunner):
        connection.run_and_clear_commit_hooks = _HookRunner(connection)


def _run(hooks: Sequence[CommitHook]) -> None:
    for index, hook in enumerate(hooks):
        try:
            hook()
        except Exception:
            # A hook logs its own errors. If it raises all the same, logging failed.
            with suppress(Exception):
                log.exception("trackrelay: a hook after the commit failed")
        except BaseException as interrupt:
            for each in hooks[index + 1 :]:
                with suppress(Exception):
                    each.give_up(interrupt)
            raise
