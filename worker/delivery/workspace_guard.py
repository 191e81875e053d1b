"""Checks that credentials belong to the workspace of TRACKRELAY_ENVIRONMENT_ID before their use.

Each process has its own guard. A worker with the key of another workspace sends nothing and takes
no shard; other workers continue.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from threading import Lock
from typing import Any

import redis

from trackrelay.queue.redis_keys import PREFIX
from trackrelay.worker.maintenance.heartbeat_keys import REFUSING_KEY
from trackrelay.worker.track_api.region import Verdict

from .rate_limiter import SendingBlockedError

#: Credentials that are not known to be good are checked again after this many seconds.
AGAIN_S = 5.0
#: A refusal is shown for this many seconds.
SHOWN_S = 60.0

#: A delivery within this many seconds says that other processes deliver.
OTHERS_S = 60.0

_GOOD = Verdict()

Pair = tuple[str, str]


class WrongWorkspaceError(SendingBlockedError):
    """The credentials belong to another workspace than the setting names; nothing was sent."""


class UnverifiedError(OSError):
    """The workspace of the credentials is unknown; nothing was sent. Treated as an outage."""


class WorkspaceGuard:
    """Returns credentials only if they belong to the right workspace. Threads may share it.

    Args:
        credentials: returns the current pair.
        environment_id: the workspace that the pair must belong to; empty for any.
        ask: asks the region endpoint about a pair.
        clock: returns seconds.
    """

    def __init__(
        self,
        credentials: Callable[[], Pair],
        environment_id: str,
        ask: Callable[[Pair], Verdict],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._credentials = credentials
        self._is_on = bool(environment_id)
        self._ask = ask
        self._clock = clock
        self._lock = Lock()
        self._good: Pair | None = None
        self._refused: Pair | None = None
        self._verdict = Verdict()
        self._ask_again_at = 0.0

    def __call__(self) -> Pair:
        """Return the current pair, for the next request.

        Raises:
            WrongWorkspaceError: it belongs to another workspace.
            UnverifiedError: the region endpoint did not answer.
        """
        pair = self._credentials()
        verdict = self._examine(pair)
        if verdict.problem == "unreachable":
            raise UnverifiedError(
                f"the workspace of the credentials is not known: {verdict.message}"
            )
        if verdict.problem:
            raise WrongWorkspaceError(verdict.message)
        return pair

    def refusal(self) -> Verdict | None:
        """Return why nothing may be sent with the current pair; None if something may."""
        verdict = self._examine(self._credentials())
        return verdict if verdict.problem else None

    def _examine(self, pair: Pair) -> Verdict:
        if not self._is_on or pair == self._good:
            return _GOOD
        with self._lock:
            if pair == self._good:
                return _GOOD
            if pair != self._refused or self._clock() >= self._ask_again_at:
                self._verdict = self._ask(pair)
                self._good = self._good if self._verdict.problem else pair
                self._refused = pair if self._verdict.problem else None
                self._ask_again_at = self._clock() + AGAIN_S
            return self._verdict


def others_deliver(client: redis.Redis) -> bool:
    """Whether any process delivered something within the last minute."""
    last_ms: Any = client.hget(PREFIX + "breaker", "last_success_ms")
    seconds, _ = client.time()
    return seconds - int(last_ms or 0) / 1000 < OTHERS_S


def note_refusal(client: redis.Redis, message: str) -> None:
    """Record for ``status`` that this process delivers nothing, and why."""
    about = json.dumps({"message": message[:500], "at": time.time()})
    client.hset(REFUSING_KEY, f"{socket.gethostname()}:{os.getpid()}", about)
    client.expire(REFUSING_KEY, int(SHOWN_S))
    # A worker that is started again and again has another name each time.
    told: Any = client.hgetall(REFUSING_KEY)
    if old := [name for name, about in told.items() if not _is_shown(about, time.time())]:
        client.hdel(REFUSING_KEY, *old)


def refusals(values: dict[bytes, bytes], now: float) -> dict[str, list[str]]:
    """Return the processes that refused lately, by their message."""
    found: dict[str, list[str]] = {}
    for process, about in sorted(values.items()):
        if _is_shown(about, now):
            found.setdefault(json.loads(about)["message"], []).append(process.decode())
    return found


def _is_shown(about: bytes | str, now: float) -> bool:
    return bool(now - float(json.loads(about)["at"]) < SHOWN_S)
