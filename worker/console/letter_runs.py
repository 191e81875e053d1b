"""Replays and discards many dead letters while the page shows how far it has come.

A run has a thread and stores of its own. What it has done stands in Redis, so that every process of
the console can show it. A run that ends with its process leaves each letter as it was, or replayed:
the same selection completes it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.errors import TrackRelayError
from trackrelay.operations.ids import is_ulid, new_id
from trackrelay.queue.redis_keys import PREFIX
from trackrelay.worker.cli.common.command_errors import explain
from trackrelay.worker.cli.common.command_stores import Stores, open_stores
from trackrelay.worker.cli.dead_letters.letter_replay import make_replayer
from trackrelay.worker.dead_letters.eligibility import RefusedReplay, ReplayPolicy, without_options
from trackrelay.worker.dead_letters.replay_batches import CHUNK, Replayer
from trackrelay.worker.queue.queue_config import QueueConfigError
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage.shards import ShardMissingError

#: Dead letters in one run. The command line takes more.
MAX_SELECTED = 20_000
#: Refusals that are listed one by one.
MAX_LISTED = 50
#: How long a run can be looked at.
KEPT_S = 24 * 3600
#: A run that reports nothing for so long has ended with its process.
SILENT_S = 120.0
_KEY = PREFIX + "console:run:"

What = Literal["replay", "discard"]
#: What a wrong setting or a store that is away raises.
ERRORS = (SQLAlchemyError, RedisError, QueueConfigError, ShardMissingError, TrackRelayError)


@dataclass(frozen=True, slots=True)
class Run:
    """How far a run has come. Times are unix seconds."""

    id: str
    what: What
    who: str
    selected: int
    began_at: float
    #: When this was written.
    at: float
    handled: int = 0
    done: int = 0
    refused: int = 0
    #: Some of the refused letters: id, operation and why.
    refusals: list[list[str]] = field(default_factory=list)
    ended: bool = False
    #: Why it stopped before its end.
    error: str = ""

    @property
    def was_cut_off(self) -> bool:
        """Whether its process ended before it."""
        return not self.ended and time.time() - self.at > SILENT_S


def read(client: redis.Redis, id: str) -> Run | None:
    """Return a run; None: there is none, or it was too long ago."""
    if not is_ulid(id):
        return None
    data: Any = client.get(_KEY + id)
    return Run(**json.loads(data)) if data else None


@dataclass(frozen=True, slots=True)
class LetterRun:
    """One run, to be started.

    Args:
        settings: of the workers.
        who: the name that each letter's history records.
        note: the reason, for the same history.
    """

    settings: Settings
    who: str
    note: str
    what: What
    ids: Sequence[str]
    policy: ReplayPolicy

    def start(self, client: redis.Redis) -> Run:
        """Begin in a thread of its own. Return the run as it begins."""
        now = time.time()
        run = Run(new_id(), self.what, self.who, len(self.ids), now, now)
        _write(client, run)
        threading.Thread(target=self._work, args=(run,), name=f"{self.what} {run.id}").start()
        return run

    def _work(self, run: Run) -> None:
        try:
            with open_stores(self.settings) as stores:
                self._work_with(stores, run)
        except ERRORS:
            pass  # Redis or Postgres is away. The page shows that the run makes no progress.

    def _work_with(self, stores: Stores, run: Run) -> None:
        error = ""
        try:
            each = make_replayer(stores, self.note, who=self.who)
            steps = {"replay": self._replay, "discard": self._discard}
            for step in steps[self.what](each, run):
                run = step
                _write(stores.redis, run)
        except ERRORS as problem:
            error = explain(problem) or str(problem)
        _write(stores.redis, replace(run, ended=True, error=error, at=time.time()))

    def _replay(self, each: Replayer, run: Run) -> Iterator[Run]:
        for outcome in each.replay(self.ids, self.policy):
            run = replace(
                run,
                at=time.time(),
                handled=run.handled + outcome.size,
                done=run.done + len(outcome.replays),
                refused=run.refused + len(outcome.refused),
                refusals=[*run.refusals, *map(_refusal, outcome.refused)][:MAX_LISTED],
            )
            yield run

    def _discard(self, each: Replayer, run: Run) -> Iterator[Run]:
        for discarded in each.discard(self.ids):
            handled = min(run.handled + CHUNK, run.selected)
            run = replace(run, at=time.time(), handled=handled, done=run.done + len(discarded))
            yield run


def _refusal(refused: RefusedReplay) -> list[str]:
    return [refused.id, refused.operation or "", without_options(refused.why)]


def _write(client: redis.Redis, run: Run) -> None:
    client.set(_KEY + run.id, json.dumps(asdict(run)), ex=KEPT_S)
