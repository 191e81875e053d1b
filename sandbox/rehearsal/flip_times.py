"""When time alone changes whether a person matches: when a window such as 30 days ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trackrelay.sandbox.parsed_operations import JsonObject
from trackrelay.sandbox.sandbox_clock import parse_span
from trackrelay.sandbox.workspace.conditions import parts
from trackrelay.sandbox.workspace.people import Person
from trackrelay.sandbox.workspace.workspace_state import State

_DAY_S = 86_400.0
#: What is exactly as old as its window is still inside.
_AFTER_S = 1.0


def next_flip(state: State, condition: JsonObject, person: Person, now: float) -> float | None:
    """Return the next time at which the answer can change although nothing happens, or None."""
    return min((each for each in _flips(state, condition, person) if each > now), default=None)


def _flips(state: State, condition: JsonObject, person: Person) -> Iterator[float]:
    for kind, body in parts(condition):
        if kind == "event":
            for window_s in _event_windows(body):
                for event in person.events:
                    if event.name == body["name"]:
                        yield event.at + window_s + _AFTER_S
        elif kind == "attribute" and body.get("operator") == "within":
            value = person.attributes.values.get(body["field"])
            if isinstance(value, int | float):
                # A time in the future begins to match when it has come.
                yield from (float(value), value + parse_span(body["value"]) + _AFTER_S)
        elif kind == "segment":
            segment = state.segments.find(body["id"])
            if segment is not None and segment.conditions is not None:
                yield from _flips(state, segment.conditions, person)


def _event_windows(body: Any) -> Iterator[float]:
    if body.get("days") is not None:
        yield body["days"] * _DAY_S
    if "within" in body:
        yield parse_span(body["within"])
