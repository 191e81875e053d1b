"""Counts of calls that enqueued nothing: refused ones, and those that were only logged because the queue did not take them.

They are gathered in this process and brought to Redis by a thread of their own, which lives while there is something to bring: no
call waits for it, and one that is enqueued does not know of it. ``trackrelay status`` shows them.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from trackrelay.configuration.producer_settings import Settings

from . import redis_keys

Kind = Literal["refused", "unavailable"]

#: How long counts are gathered before they are brought to Redis …
FLUSH_S = 2.0
#: … and the longest wait after a time when it did not take them.
MAX_WAIT_S = 60.0
#: How long bringing them may take.
TIMEOUT_S = 1.0
#: How long Redis keeps the counts of an hour.
KEPT_S = 49 * 3600
#: Characters of a source, an operation and a field.
MAX_NAME = 100
#: Different counts kept here, and in one hour's hash: beyond that what is new counts as the field OTHERS.
MAX_COUNTS = 1_000
OTHERS = "…"

# KEYS: an hour's hash. ARGV: how long to keep it, how many fields it may have, then for each count its field, the field that it counts
# under if there are too many, and how many.
_ADD_LUA = """
for i = 3, #ARGV, 3 do
  local field = ARGV[i]
  if redis.call('HEXISTS', KEYS[1], field) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[2]) then
    field = ARGV[i + 1]
  end
  redis.call('HINCRBY', KEYS[1], field, ARGV[i + 2])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""
_PLACES = re.compile(r"\[\d+\]")


class Counted(NamedTuple):
    """What is counted together."""

    kind: Kind
    #: Unix hours.
    hour: int
    operation: str
    #: The field of a refusal, or the reason why the queue took nothing.
    field: str


class CallCounts:
    """Counts the calls of one application. Thread-safe; a forked child begins at zero.

    Args:
        redis_url: where the counts go; None counts nothing.
        source: which application it is.
    """

    def __init__(self, redis_url: str | None, source: str | None) -> None:
        self._url = redis_url
        self._source = (source or "")[:MAX_NAME]
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Counted] = Counter()
        self._thread: threading.Thread | None = None

    def add(self, kind: Kind, names: Iterable[tuple[str, str]]) -> None:
        """Count operations, each with its field or the reason."""
        if self._url is None:
            return
        hour = int(time.time() / 3600)
        with self._lock:
            for operation, where in names:
                field = _PLACES.sub("[]", where[: 2 * MAX_NAME])[:MAX_NAME]
                self._add(Counted(kind, hour, operation[:MAX_NAME], field), 1)
            if self._thread is None:
                self._start()

    def _start(self) -> None:
        thread = threading.Thread(target=self._bring, name="trackrelay-counts", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the process ends: the next call tries, or the end of the process brings them
            return
        self._thread = thread

    def _add(self, counted: Counted, number: int) -> None:
        if counted not in self._counts and len(self._counts) >= MAX_COUNTS:
            counted = counted._replace(field=OTHERS)
        self._counts[counted] += number

    def flush(self) -> bool:
        """Bring what was counted to Redis; returns whether nothing is left."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return True
        try:
            self._write(counts)
        except (
            Exception
        ):  # Redis is away, full, or no replica's: they wait, and nobody is disturbed
            with self._lock:
                for counted, number in counts.items():
                    self._add(counted, number)
            return False
        return True

    def _bring(self) -> None:
        wait_s = FLUSH_S
        while True:
            time.sleep(wait_s)
            wait_s = FLUSH_S if self.flush() else min(wait_s * 2, MAX_WAIT_S)
            with self._lock:
                if not self._counts:
                    self._thread = None
                    return

    def _write(self, counts: Counter[Counted]) -> None:
        import redis  # not at import of producers

        from .connections import connection_options

        assert self._url is not None
        with redis.Redis.from_url(self._url, **connection_options(TIMEOUT_S)) as client:
            for kind, hour in sorted({(counted.kind, counted.hour) for counted in counts}):
                arguments: list[Any] = [KEPT_S, MAX_COUNTS]
                for counted, number in counts.items():
                    if (counted.kind, counted.hour) == (kind, hour):
                        arguments += (
                            self._field(counted, counted.field),
                            self._field(counted, OTHERS),
                            number,
                        )
                client.eval(_ADD_LUA, 1, redis_keys.calls(kind, hour), *arguments)

    def _field(self, counted: Counted, field: str) -> str:
        return json.dumps([self._source, counted.operation, field])


_all: weakref.WeakSet[CallCounts] = weakref.WeakSet()


def counts_of(settings: Settings) -> CallCounts:
    """Return the counts of all producers that have these settings."""
    return _counts(settings.redis_url if settings.backend == "redis" else None, settings.source)


@lru_cache(maxsize=32)
def _counts(redis_url: str | None, source: str | None) -> CallCounts:
    return CallCounts(redis_url, source)


def _start_afresh() -> None:
    # What the parent counted it brings itself; its threads and locks are not here.
    for counts in list(_all):
        counts._begin()


def _flush_all() -> None:
    for counts in list(_all):
        counts.flush()


os.register_at_fork(after_in_child=_start_afresh)
atexit.register(_flush_all)
