"""Actions of the admin, with the command line's code: the same checks, refusals and history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.errors import TrackRelayError
from trackrelay.worker.cli.common.command_errors import explain
from trackrelay.worker.cli.common.command_stores import Stores, open_stores
from trackrelay.worker.cli.dead_letters.letter_replay import make_replayer
from trackrelay.worker.dead_letters.eligibility import ReplayPolicy
from trackrelay.worker.dead_letters.replay_batches import Replayer, Tally
from trackrelay.worker.queue.queue_config import QueueConfigError
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import DeadLetter, Filters
from trackrelay.worker.storage.shards import ShardMissingError


class ActionError(Exception):
    """Redis, Postgres or a setting is wrong; the message says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Actions:
    """What a member of staff can do with dead letters. Made by :func:`actions_of`."""

    stores: Stores
    replayer: Replayer

    def order(self, ids: Sequence[str]) -> list[str]:
        """Return those of ``ids`` that exist, in the order in which to replay them."""
        with self.stores.engine.connect() as connection:
            return dead_letter_queries.ids(connection, Filters(ids=tuple(ids))) if ids else []

    def letter(self, id: str) -> DeadLetter | None:
        """Return one dead letter; None if there is none with this id."""
        with self.stores.engine.connect() as connection:
            return next(iter(dead_letter_queries.load(connection, [id])), None)

    def letters(self, ids: Sequence[str]) -> Iterator[DeadLetter]:
        """Yield dead letters; reads some at a time."""
        with self.stores.engine.connect() as connection:
            for start in range(0, len(ids), 500):
                yield from dead_letter_queries.load(connection, ids[start : start + 500])

    def plan(self, ids: Sequence[str], policy: ReplayPolicy) -> Tally:
        """Return what a replay would do."""
        return _add_up(self.replayer.plan(ids, policy))

    def replay(self, ids: Sequence[str], policy: ReplayPolicy) -> Tally:
        """Replay dead letters."""
        return _add_up(self.replayer.replay(ids, policy))

    def discard(self, ids: Sequence[str]) -> list[str]:
        """Discard the open ones, and return their ids."""
        return [id for chunk in self.replayer.discard(ids) for id in chunk]

    def stored_keys(self, keys: Sequence[str]) -> list[str]:
        """Return keys in each form that the tables can have: `forget` also hashes ids."""
        hasher = self.stores.hasher()
        return [form for key in keys for form in (hasher.stored(key), hasher.hidden(key))]


def _add_up(outcomes: Any) -> Tally:
    tally = Tally()
    for outcome in outcomes:
        tally.add(outcome)
    return tally


@contextmanager
def actions_of(user: Any, note: str = "") -> Iterator[Actions]:
    """Yield the actions of ``user``, who goes into each history, with ``note``.

    Raises:
        ActionError: Redis, Postgres or a setting is wrong.
    """
    try:
        with open_stores() as stores:
            who = f"{user.get_username()} (admin)"
            yield Actions(stores, make_replayer(stores, note, who=who))
    except (
        SQLAlchemyError,
        sa.exc.NoSuchModuleError,
        RedisError,
        QueueConfigError,
        ShardMissingError,
    ) as error:
        raise ActionError(explain(error) or str(error)) from None
    except TrackRelayError as error:
        raise ActionError(str(error)) from None
