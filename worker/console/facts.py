"""What takes long to read is read once for everybody who looks."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Generic, TypeVar

from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

Value = TypeVar("Value")

#: Facts of this age are shown without reading again …
FRESH_S = 2.0
#: … and of this many times the time that reading them took: with a million jobs in the backlog it
#: takes a second, and must not keep Postgres busy.
REST = 10.0
#: … but not longer than this: a reading that waited for a store that hangs was not work.
MAX_FRESH_S = 30.0
#: Facts up to this age, or twice that rest, are shown while newer ones are read.
USABLE_S = 15.0
#: Facts up to this age are good enough for a number in the navigation.
GLANCE_S = 60.0


@dataclass(slots=True)
class Facts(Generic[Value]):
    """The latest facts. Any number of viewers cost one reader.

    Args:
        read: reads them. What it raises of the stores reaches who waits for it.
        clock: monotonic seconds.
        usable_s: facts up to this age are shown while newer ones are read.
        patience_s: unless reading them takes less than this: then everybody waits for new ones.
    """

    read: Callable[[], Value]
    clock: Callable[[], float] = time.monotonic
    usable_s: float = USABLE_S
    patience_s: float = 0.0
    _latest: Value | None = None
    _read_at: float = 0.0
    _took: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def glance(self) -> Value | None:
        """Return the latest facts of the last minute, and never wait for them.

        Newer ones are read for the next glance.
        """
        latest, age = self._latest, self.clock() - self._read_at
        if latest is None or age > self._fresh_s:
            self._read_behind()
        return latest if age <= max(GLANCE_S, self._usable_s) else None

    @property
    def _fresh_s(self) -> float:
        return max(FRESH_S, min(MAX_FRESH_S, REST * self._took))

    @property
    def _usable_s(self) -> float:
        if self._took < self.patience_s:
            return self._fresh_s
        return max(self.usable_s, 2 * self._fresh_s)

    def current(self) -> Value:
        """Return facts that are no older than may be shown."""
        latest, age = self._latest, self.clock() - self._read_at
        if latest is not None and age <= self._fresh_s:
            return latest
        if latest is not None and age <= self._usable_s:
            self._read_behind()
            return latest
        with self._lock:
            if self._latest is None or self.clock() - self._read_at > self._fresh_s:
                self._remember()
            assert self._latest is not None
            return self._latest

    def renew(self) -> Value:
        """Read them now: something was changed."""
        with self._lock:
            self._remember()
            assert self._latest is not None
            return self._latest

    def _read_behind(self) -> None:
        if self._lock.acquire(blocking=False):
            Thread(target=self._read_and_release, name="trackrelay-facts", daemon=True).start()

    def _read_and_release(self) -> None:
        try:
            # Nobody waits. Who does will get the error.
            with suppress(RedisError, SQLAlchemyError, OSError):
                self._remember()
        finally:
            self._lock.release()

    def _remember(self) -> None:
        began = self.clock()
        self._latest, self._read_at = self.read(), self.clock()
        self._took = self._read_at - began
