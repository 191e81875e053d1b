"""``--fail-if``: conditions under which a health check fails, e.g. ``oldest>10m,dead_letters>0,breaker=halted``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from trackrelay.suggestion import did_you_mean
from trackrelay.worker.cli.common.humanize import duration
from trackrelay.worker.settings import parse_duration

from .snapshot import Snapshot
from .status_verdict import last_minute

Kind = str
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_CONDITION = re.compile(r"\s*([a-z_]+)\s*(>=|<=|!=|==|>|<|=)\s*(\S+)\s*")
STATES = ("closed", "open", "halted")


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that can be asked about."""

    #: ``duration``, ``number``, ``percent`` or ``state``.
    kind: Kind
    about: str
    #: ``redis`` and ``postgres``, whose answer it needs.
    needs: tuple[str, ...]
    of: Callable[[Snapshot], float | str | None]


def _redis(pick: Callable[[Any], Any]) -> Callable[[Snapshot], Any]:
    return lambda now: pick(now.redis)


def _postgres(pick: Callable[[Any], Any]) -> Callable[[Snapshot], Any]:
    return lambda now: pick(now.postgres)


MEASURES: dict[str, Measure] = {
    "oldest": Measure(
        "duration",
        "age of the oldest undelivered job",
        ("redis", "postgres"),
        lambda now: now.age(now.oldest) or 0.0,
    ),
    "beat": Measure(
        "duration",
        "time since a beat was seen",
        ("redis",),
        lambda now: (
            float("inf") if now.redis is None or now.redis.beat is None else now.age(now.redis.beat)
        ),
    ),
    "dead_letters": Measure(
        "number", "open dead letters", ("postgres",), _postgres(lambda side: side.dead("open"))
    ),
    "backlog": Measure(
        "number", "jobs in the backlog", ("postgres",), _postgres(lambda side: side.waiting)
    ),
    "lost": Measure(
        "number",
        "lost jobs, until somebody acknowledges them; a loss of unknown size counts as one",
        ("postgres",),
        _postgres(lambda side: side.lost),
    ),
    "paused": Measure(
        "number", "paused shards", ("postgres",), _postgres(lambda side: len(side.paused))
    ),
    "queue": Measure("number", "jobs in the streams", ("redis",), _redis(lambda side: side.queued)),
    "pending": Measure(
        "number",
        "jobs read and not settled",
        ("redis",),
        _redis(lambda side: sum(shard.pending for shard in side.shards)),
    ),
    "workers": Measure("number", "workers", ("redis",), _redis(lambda side: len(side.alive))),
    "delivered": Measure("number", "jobs delivered in the last minute", ("redis",), last_minute),
    "memory": Measure(
        "percent",
        "use of Redis' maxmemory",
        ("redis",),
        _redis(lambda side: side.memory.share * 100),
    ),
    "refused": Measure(
        "number",
        "calls refused in the last 24 hours",
        ("redis",),
        _redis(lambda side: side.failed_calls.count("refused")),
    ),
    "unavailable": Measure(
        "number",
        "calls of the last 24 hours that were only logged",
        ("redis",),
        _redis(lambda side: side.failed_calls.count("unavailable")),
    ),
    "breaker": Measure("state", "breaker", ("redis",), _redis(lambda side: side.breaker.state)),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, as it was written."""

    text: str
    name: str
    operator: str
    value: float | str

    def failure(self, now: Snapshot) -> str | None:
        """One line if it holds, or if whether it does cannot be known."""
        measure = MEASURES[self.name]
        for side in measure.needs:
            if getattr(now, side) is None:
                return f"{self.text}: not known, as {getattr(now, f'{side}_problem')}"
        actual = measure.of(now)
        if not _OPERATORS[self.operator](actual, self.value):
            return None
        return f"{self.text}: {measure.about}: {_shown(measure.kind, actual)}"


def parse(text: str) -> list[Condition]:
    """The conditions in ``text``, separated by commas.

    Raises:
        click.BadParameter: one cannot be understood; the message says what can.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise click.BadParameter("it is empty; an example: oldest>10m,dead_letters>0")
    return [_condition(part) for part in parts]


def _condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no condition; an example: oldest>10m")
    name, sign, value = match[1], match[2].replace("==", "="), match[3]
    if name not in MEASURES:
        hint = did_you_mean(name, MEASURES, otherwise=f"there are {', '.join(MEASURES)}")
        raise click.BadParameter(f"{text!r}: there is no {name!r}; {hint}")
    if MEASURES[name].kind == "state" and sign not in ("=", "!="):
        raise click.BadParameter(f"{text!r}: {name} is compared with = or !=")
    return Condition(text, name, sign, _value(text, MEASURES[name].kind, value))


def _value(text: str, kind: Kind, value: str) -> float | str:
    if kind == "state":
        if value not in STATES:
            raise click.BadParameter(f"{text!r}: it must be one of {', '.join(STATES)}")
        return value
    try:
        if kind == "duration":
            return parse_duration(value).total_seconds()
        number = float(value.removesuffix("%") if kind == "percent" else value)
        if math.isfinite(number):
            return number
        raise ValueError(value)
    except ValueError:
        example = {
            "duration": "a duration such as 90s, 10m, 12h or 3d",
            "percent": "a percentage such as 75%",
        }
        raise click.BadParameter(
            f"{text!r}: {value!r} is not {example.get(kind, 'a number')}"
        ) from None


def _shown(kind: Kind, actual: float | str | None) -> str:
    if isinstance(actual, str) or actual is None:
        return str(actual)
    if kind == "duration":
        return "more than a day" if actual == float("inf") else duration(actual)
    return f"{actual:.0f}%" if kind == "percent" else f"{actual:,.0f}"
