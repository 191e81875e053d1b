"""Numbers about the traffic since the start or the last reset."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .effects import Effect


class Counts:
    """Counted as requests come and go."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Start again from nothing."""
        self.requests = 0
        self.operations = 0
        self.effects = 0
        self.events = 0
        self.duplicates_ignored = 0
        self.ignored = 0
        self.rejected = 0
        self.concurrent = 0
        self.max_concurrent = 0
        self.peak_per_second = 0
        self._second = 0
        self._in_second = 0
        self.by_path: Counter[str] = Counter()
        self.by_action: Counter[str] = Counter()
        self.by_status: Counter[str] = Counter()

    def arrived(self, at: float) -> None:
        """A request began."""
        self.requests += 1
        self.concurrent += 1
        self.max_concurrent = max(self.max_concurrent, self.concurrent)
        if int(at) != self._second:
            self._second, self._in_second = int(at), 0
        self._in_second += 1
        self.peak_per_second = max(self.peak_per_second, self._in_second)

    def took(self, effect: Effect, duplicate: bool) -> None:
        """An operation was accepted."""
        if effect.ignored:
            self.ignored += 1
            self.duplicates_ignored += duplicate
            return
        self.effects += 1
        self.events += effect.is_event
        self.by_action[f"{effect.type}.{effect.action}"] += 1

    def left(self, path: str, status: int | None) -> None:
        """A request ended; `status` is None if it got no answer."""
        self.concurrent = max(0, self.concurrent - 1)
        self.by_path[path] += 1
        self.by_status["unanswered" if status is None else str(status)] += 1

    def view(self) -> dict[str, Any]:
        """As it is shown."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}
