"""Calls of the last 24 hours that enqueued nothing: they were refused, or only logged.

Applications count them in Redis, in one hash an hour: the key is ``[source, operation, field or
reason]`` as JSON, the value is how many.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import redis

from trackrelay.queue.redis_keys import PREFIX

Kind = Literal["refused", "unavailable"]
KINDS: tuple[Kind, ...] = ("refused", "unavailable")
HOURS = 24


@dataclass(frozen=True, slots=True)
class FailedCall:
    """Calls that failed in the same way."""

    source: str
    operation: str
    #: The refused field, or the reason why the queue accepted nothing.
    field: str
    calls: int


@dataclass(frozen=True, slots=True)
class FailedCalls:
    """All failed calls, the most frequent first."""

    refused: list[FailedCall] = field(default_factory=list)
    unavailable: list[FailedCall] = field(default_factory=list)

    def of(self, kind: Kind) -> list[FailedCall]:
        """Return the failed calls of one kind."""
        return self.refused if kind == "refused" else self.unavailable

    def count(self, kind: Kind) -> int:
        """Return how many calls of one kind failed."""
        return sum(each.calls for each in self.of(kind))


def read(client: redis.Redis, now: float) -> FailedCalls:
    """Read the counts of the current hour and of the 23 hours before it.

    Args:
        client: of the queue.
        now: unix seconds.
    """
    hour = int(now / 3600)
    with client.pipeline(transaction=False) as pipe:
        for kind in KINDS:
            for back in range(HOURS):
                pipe.hgetall(f"{PREFIX}calls:{kind}:{hour - back}")
        # A key of another type is not a count, and must not hide the others.
        answers = pipe.execute(raise_on_error=False)
    found = [
        _sorted(answers[number * HOURS : (number + 1) * HOURS]) for number in range(len(KINDS))
    ]
    return FailedCalls(*found)


def _sorted(hours: Iterable[Any]) -> list[FailedCall]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for hour in hours:
        if isinstance(hour, dict):
            for name, value in hour.items():
                counts[_names(name)] += _number(value)
    return [FailedCall(*names, calls) for names, calls in counts.most_common() if calls > 0]


def _names(name: bytes) -> tuple[str, str, str]:
    try:
        source, operation, reason = json.loads(name)
    except (ValueError, TypeError, RecursionError):
        source, operation, reason = "", "", name.decode(errors="replace")[:100]
    return str(source), str(operation), str(reason)


def _number(value: bytes) -> int:
    return int(value) if value.isdigit() and len(value) < 19 else 0


def describe(calls: Sequence[FailedCall], limit: int = 3) -> str:
    """Return the most frequent calls: ``12 person.event of shop (data.total), and 3 others``."""
    parts = [
        f"{each.calls:,} {each.operation or 'unnamed'}"
        + (f" of {each.source}" if each.source else "")
        + (f" ({each.field})" if each.field else "")
        for each in calls[:limit]
    ]
    rest = sum(each.calls for each in calls[limit:])
    return ", ".join(parts) + (f", and {rest:,} others" if rest else "")
