"""Counts of calls that enqueued nothing: refused ones, and those that were only logged.

A thread writes the counts to Redis while there are any, so that no call waits for it. ``trackrelay
status`` shows them.
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

#: How long counts are collected before they are written to Redis.
FLUSH_S = 2.0
#: The longest wait after Redis did not take them.
MAX_WAIT_S = 60.0
#: How long writing them may take.
TIMEOUT_S = 1.0
#: How long Redis keeps the counts of an hour.
KEPT_S = 49 * 3600
#: Most characters of a source, an operation and a field.
MAX_NAME = 100
#: Most different counts, here and in an hour's hash. New ones beyond that count as the field
#: OTHERS.
MAX_COUNTS = 1_000
OTHERS = "…"

_PLACES = re.compile(r"\[\d+\]")


class Counted(NamedTuple):
    """What one count is about."""

    kind: Kind
    #: Unix hours.
    hour: int
    operation: str
    #: The field of a refusal, or the reason why the queue took nothing.
    field: str


class CallCounts:
    """Count the calls of one application. Thread-safe. A forked child starts at zero.

    Args:
        redis_url: the Redis that gets the counts; None counts nothing.
        source: the name of the application.
    """

    def __init__(self, redis_url: str | None, source: str | None) -> None:
        self.redis_url = redis_url
        self._source = (source or "")[:MAX_NAME]
        self.reset()
        _all.add(self)

    def reset(self) -> None:
        """Start at zero."""
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._counts: Counter[Counted] = Counter()
        self._thread: threading.Thread | None = None

    def add(self, kind: Kind, names: Iterable[tuple[str, str]]) -> None:
        """Count operations, each with its field or the reason."""
        if self.redis_url is None:
            return
        hour = int(time.time() / 3600)
        with self._lock:
            for operation, where in names:
                field = _PLACES.sub("[]", where[: 2 * MAX_NAME])[:MAX_NAME]
                self._add(Counted(kind, hour, operation[:MAX_NAME], field), 1)
            if self._thread is None:
                self._start()

    def _start(self) -> None:
        thread = threading.Thread(
            target=self._write_until_empty, name="trackrelay-counts", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the process ends
            return  # the next call tries again, or the end of the process writes them
        self._thread = thread

    def _add(self, counted: Counted, number: int) -> None:
        if counted not in self._counts and len(self._counts) >= MAX_COUNTS:
            counted = counted._replace(field=OTHERS)
        self._counts[counted] += number

    def flush(self) -> bool:
        """Write the counts to Redis, and return whether none are left.

        Wait for what another thread writes just now, so that a process does not end before.
        """
        with self._writing:
            with self._lock:
                counts, self._counts = self._counts, Counter()
            if not counts:
                return True
            try:
                self._write(counts)
            except Exception:
                # Redis is unavailable, full or a replica. Keep the counts, and disturb no call.
                with self._lock:
                    for counted, number in counts.items():
                        self._add(counted, number)
                return False
            return True

    def _write_until_empty(self) -> None:
        wait_s = FLUSH_S
        while True:
            time.sleep(wait_s)
            wait_s = FLUSH_S if self.flush() else min(wait_s * 2, MAX_WAIT_S)
            with self._lock:
                if not self._counts:
                    self._thread = None
                    return

    def _write(self, counts: Counter[Counted]) -> None:
        from .connections import make_client  # importing trackrelay must stay cheap
        from .lua_files import lua_script

        assert self.redis_url is not None
        script = lua_script(__package__, "add_counts")
        with make_client(self.redis_url, TIMEOUT_S) as client:
            for kind, hour in sorted({(counted.kind, counted.hour) for counted in counts}):
                arguments: list[Any] = [KEPT_S, MAX_COUNTS]
                for counted, number in counts.items():
                    if (counted.kind, counted.hour) == (kind, hour):
                        arguments += (
                            self._field(counted, counted.field),
                            self._field(counted, OTHERS),
                            number,
                        )
                keys = redis_keys.calls(kind, hour), redis_keys.all_calls(kind)
                client.eval(script, len(keys), *keys, *arguments)

    def _field(self, counted: Counted, field: str) -> str:
        return json.dumps([self._source, counted.operation, field])


_all: weakref.WeakSet[CallCounts] = weakref.WeakSet()


def counts_of(settings: Settings) -> CallCounts:
    """Return the counts that all producers with these settings share."""
    return _counts(settings.redis_url if settings.backend == "redis" else None, settings.source)


@lru_cache(maxsize=32)
def _counts(redis_url: str | None, source: str | None) -> CallCounts:
    return CallCounts(redis_url, source)


def flush_for(redis_url: str) -> None:
    """Write all counts for one Redis, of all producers in this process."""
    for counts in list(_all):
        if counts.redis_url == redis_url:
            counts.flush()


def _start_afresh() -> None:
    # The parent writes its own counts. Its threads and locks do not exist here.
    for counts in list(_all):
        counts.reset()


def _flush_all() -> None:
    for counts in list(_all):
        counts.flush()


os.register_at_fork(after_in_child=_start_afresh)
atexit.register(_flush_all)
