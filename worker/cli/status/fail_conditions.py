"""``--fail-if``: conditions for health checks: ``oldest>10m,dead_letters>0,breaker=halted``."""

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

from .finding_status import findings_by_severity
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
    """Something that a condition can compare."""

    #: ``duration``, ``number``, ``percent`` or ``state``.
    kind: Kind
    about: str
    #: The stores whose answer it needs: ``redis``, ``postgres``.
    needs: tuple[str, ...]
    of: Callable[[Snapshot], float | str | None]


def _redis(pick: Callable[[Any], Any]) -> Callable[[Snapshot], Any]:
    return lambda snapshot: pick(snapshot.redis)


def _postgres(pick: Callable[[Any], Any]) -> Callable[[Snapshot], Any]:
    return lambda snapshot: pick(snapshot.postgres)


MEASURES: dict[str, Measure] = {
    "oldest": Measure(
        "duration",
        "age of the oldest undelivered job",
        ("redis", "postgres"),
        lambda snapshot: snapshot.age(snapshot.oldest) or 0.0,
    ),
    "beat": Measure(
        "duration",
        "time since the last beat",
        ("redis",),
        lambda snapshot: (
            float("inf")
            if snapshot.redis is None or snapshot.redis.beat is None
            else snapshot.age(snapshot.redis.beat)
        ),
    ),
    "dead_letters": Measure(
        "number", "open dead letters", ("postgres",), _postgres(lambda store: store.dead("open"))
    ),
    "backlog": Measure(
        "number", "jobs in the backlog", ("postgres",), _postgres(lambda store: store.waiting)
    ),
    "lost": Measure(
        "number",
        "lost jobs in unacknowledged incidents; one if unknown",
        ("postgres",),
        _postgres(lambda store: store.lost),
    ),
    "unforgotten": Measure(
        "number",
        "requests to forget a person that are not complete",
        ("postgres",),
        _postgres(lambda store: store.forgotten.unfinished),
    ),
    "paused": Measure(
        "number", "paused shards", ("postgres",), _postgres(lambda store: len(store.paused))
    ),
    "queue": Measure(
        "number", "jobs in the streams", ("redis",), _redis(lambda store: store.queued)
    ),
    "pending": Measure(
        "number",
        "jobs read and not settled yet",
        ("redis",),
        _redis(lambda store: sum(shard.pending for shard in store.shards)),
    ),
    "ignored": Measure(
        "number",
        "open verdicts: accepted by Customer.io and not applied",
        ("postgres",),
        _postgres(lambda store: store.verification.count("ignored")),
    ),
    "missing": Measure(
        "number",
        "open verdicts: not at Customer.io",
        ("postgres",),
        _postgres(lambda store: store.verification.count("missing")),
    ),
    "different": Measure(
        "number",
        "open verdicts: Customer.io has something else",
        ("postgres",),
        _postgres(lambda store: store.verification.count("different")),
    ),
    "findings": Measure(
        "number",
        "open findings about the data: errors and warnings that nobody acknowledged",
        ("postgres",),
        lambda snapshot: sum(findings_by_severity(snapshot).values()),
    ),
    "workers": Measure(
        "number", "running workers", ("redis",), _redis(lambda store: len(store.alive))
    ),
    "delivered": Measure("number", "jobs delivered in the last minute", ("redis",), last_minute),
    "memory": Measure(
        "percent",
        "used part of Redis' maxmemory",
        ("redis",),
        _redis(lambda store: store.memory.share * 100),
    ),
    "refused": Measure(
        "number",
        "calls refused in the last 24 hours",
        ("redis",),
        _redis(lambda store: store.failed_calls.count("refused")),
    ),
    "unavailable": Measure(
        "number",
        "calls only logged in the last 24 hours",
        ("redis",),
        _redis(lambda store: store.failed_calls.count("unavailable")),
    ),
    "breaker": Measure(
        "state", "state of the breaker", ("redis",), _redis(lambda store: store.breaker.state)
    ),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, as the user wrote it."""

    text: str
    name: str
    operator: str
    value: float | str

    def failure(self, snapshot: Snapshot) -> str | None:
        """Return one line if the condition holds, or if that is not known."""
        measure = MEASURES[self.name]
        for store in measure.needs:
            if getattr(snapshot, store) is None:
                return f"{self.text}: not known, because {getattr(snapshot, f'{store}_problem')}"
        actual = measure.of(snapshot)
        if not _OPERATORS[self.operator](actual, self.value):
            return None
        return f"{self.text}: {measure.about}: {_humanize(measure.kind, actual)}"


def parse(text: str) -> list[Condition]:
    """Return the conditions in ``text``, separated by commas.

    Raises:
        click.BadParameter: one of them is not a condition; the message gives an example.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise click.BadParameter("it is empty; an example: oldest>10m,dead_letters>0")
    return [_condition(part) for part in parts]


def _condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a condition such as oldest>10m")
    name, sign, value = match[1], match[2].replace("==", "="), match[3]
    if name not in MEASURES:
        hint = did_you_mean(name, MEASURES, otherwise=f"the names are {', '.join(MEASURES)}")
        raise click.BadParameter(f"{text!r}: {name!r} is not known; {hint}")
    if MEASURES[name].kind == "state" and sign not in ("=", "!="):
        raise click.BadParameter(f"{text!r}: {name} takes = or !=, not {sign}")
    return Condition(text, name, sign, _value(text, MEASURES[name].kind, value))


def _value(text: str, kind: Kind, value: str) -> float | str:
    if kind == "state":
        if value not in STATES:
            raise click.BadParameter(f"{text!r}: {value!r} is not one of {', '.join(STATES)}")
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


def _humanize(kind: Kind, actual: float | str | None) -> str:
    if isinstance(actual, str) or actual is None:
        return str(actual)
    if kind == "duration":
        return "more than a day" if actual == float("inf") else duration(actual)
    return f"{actual:.0f}%" if kind == "percent" else f"{actual:,.0f}"
