"""When an alert begins and ends. Pure: times are given."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["firing", "resolved"]


@dataclass(frozen=True, slots=True)
class Change:
    """An alert that begins or ends."""

    name: str
    state: State
    #: What is wrong, or was, in one line.
    text: str
    #: Since when it has been wrong, in unix seconds.
    since: float


@dataclass(slots=True)
class _Tracked:
    text: str
    is_firing: bool = False
    #: Since when the condition has held.
    since: float = 0.0
    #: When the condition last held.
    seen: float = 0.0


class AlertTracker:
    """Follows conditions, so that a moment begins no alert, and a moment ends none.

    Args:
        for_s: a condition holds this long before its alert begins.
        clear_s: a condition does not hold for this long before its alert ends.
    """

    def __init__(self, for_s: float, clear_s: float) -> None:
        self._for_s = for_s
        self._clear_s = clear_s
        self._tracked: dict[str, _Tracked] = {}

    def resume(self, name: str, text: str, since: float, now: float) -> None:
        """Follow an alert that fires already, as another watcher found."""
        self._tracked.setdefault(name, _Tracked(text, True, since, now))

    def update(
        self, now: float, problems: Mapping[str, str], unknown: Collection[str] = ()
    ) -> list[Change]:
        """Return the alerts that begin or end now.

        Args:
            now: unix seconds.
            problems: what is wrong, in one line each, by the name of the alert.
            unknown: names of which nothing is known now. They begin and end nothing.
        """
        changes = []
        for name, text in problems.items():
            tracked = self._tracked.setdefault(name, _Tracked(text, since=now))
            tracked.text, tracked.seen = text, now
            if not tracked.is_firing and now - tracked.since >= self._for_s:
                tracked.is_firing = True
                changes.append(Change(name, "firing", text, tracked.since))
        for name, tracked in list(self._tracked.items()):
            if name in problems:
                continue
            if name in unknown:
                tracked.seen = now
            elif not tracked.is_firing:
                del self._tracked[name]
            elif now - tracked.seen >= self._clear_s:
                del self._tracked[name]
                changes.append(Change(name, "resolved", tracked.text, tracked.since))
        return changes
