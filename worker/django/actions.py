"""What operators do, done by the parts that the command line has: the same checks, the same refusals, the same history."""

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
from trackrelay.worker.dead_letters.eligibility import Wanted
from trackrelay.worker.dead_letters.replay_batches import Replayer, Tally
from trackrelay.worker.queue.queue_config import QueueConfigError
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import DeadLetter, Filters
from trackrelay.worker.storage.shards import ShardMissingError


class CannotAct(Exception):
    """Redis, Postgres or a setting stands in the way; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Operators:
    """What a member of staff can do. Made by :func:`acting`."""

    stores: Stores
    replayer: Replayer

    def order(self, ids: Sequence[str]) -> list[str]:
        """Those of ``ids`` that exist, in the order they were enqueued: the order to replay them in."""
        with self.stores.engine.connect() as connection:
            return dead_letter_queries.ids(connection, Filters(ids=tuple(ids))) if ids else []

    def letter(self, id: str) -> DeadLetter | None:
        """One dead letter."""
        with self.stores.engine.connect() as connection:
            return next(iter(dead_letter_queries.load(connection, [id])), None)

    def letters(self, ids: Sequence[str]) -> Iterator[DeadLetter]:
        """Dead letters, some at a time."""
        with self.stores.engine.connect() as connection:
            for start in range(0, len(ids), 500):
                yield from dead_letter_queries.load(connection, ids[start : start + 500])

    def plan(self, ids: Sequence[str], wanted: Wanted) -> Tally:
        """What a replay would do."""
        return _added(self.replayer.plan(ids, wanted))

    def replay(self, ids: Sequence[str], wanted: Wanted) -> Tally:
        """Replay."""
        return _added(self.replayer.replay(ids, wanted))

    def discard(self, ids: Sequence[str]) -> list[str]:
        """Discard those that are open; returns their ids."""
        return [id for chunk in self.replayer.discard(ids) for id in chunk]

    def stored_keys(self, keys: Sequence[str]) -> list[str]:
        """Keys as the tables have them."""
        hasher = self.stores.hasher()
        return [hasher.stored(key) for key in keys]


def _added(outcomes: Any) -> Tally:
    tally = Tally()
    for outcome in outcomes:
        tally.add(outcome)
    return tally


@contextmanager
def acting(user: Any, note: str = "") -> Iterator[Operators]:
    """Act in the name of ``user``, which goes into each letter's history, with ``note``.

    Raises:
        CannotAct: what is inside could not be done.
    """
    try:
        with open_stores() as stores:
            delay_s = stores.settings.merge_delay.total_seconds()
            replayer = Replayer(
                stores.engine,
                stores.redis,
                stores.hasher(),
                delay_s,
                who=f"{user.get_username()} (admin)",
                note=note or None,
            )
            yield Operators(stores, replayer)
    except (
        SQLAlchemyError,
        sa.exc.NoSuchModuleError,
        RedisError,
        QueueConfigError,
        ShardMissingError,
    ) as error:
        raise CannotAct(explain(error) or str(error)) from None
    except TrackRelayError as error:
        raise CannotAct(str(error)) from None
