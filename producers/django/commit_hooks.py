"""Hooks of ours that Django calls after a commit, ahead of those of other libraries.

Django drops all hooks behind one that raises. So that no other library's hook takes a job away, ours
are called first. Their place in ``connection.run_on_commit`` stays the one of their registration, which
Django's ``captureOnCommitCallbacks()`` and its handling of savepoints depend on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Any

from django.db import connections

log = logging.getLogger("trackrelay")


class CommitHook:
    """Call ``act`` when the last of the databases in ``waiting`` has committed.

    Args:
        alias: the database whose commit calls this hook.
        waiting: the databases that have not committed yet; the hooks of one call share it.
        act: what to do.
        give_up: called in place of ``act`` if an interrupt ended the hook before this one.
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
        # Django names a hook by it in its log.
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

    It is never called if one of them, or a savepoint around this call, is rolled back.
    """
    waiting = set(aliases)
    for alias in aliases:
        connection = connections[alias]
        connection.on_commit(CommitHook(alias, waiting, act, give_up), robust=True)
        _run_ours_first(connection)


class _HookRunner:
    """Stands for a connection's ``run_and_clear_commit_hooks``."""

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
    # Without that method, in some later Django, our hooks still run in the order of registration.
    if not isinstance(getattr(connection, "run_and_clear_commit_hooks", None), _HookRunner):
        connection.run_and_clear_commit_hooks = _HookRunner(connection)


def _run(hooks: Sequence[CommitHook]) -> None:
    for index, hook in enumerate(hooks):
        try:
            hook()
        except Exception:
            # A hook logs what goes wrong itself; here the log is what fails.
            with suppress(Exception):
                log.exception("trackrelay: a hook after the commit failed")
        except BaseException as interrupt:
            for each in hooks[index + 1 :]:
                with suppress(Exception):
                    each.give_up(interrupt)
            raise
