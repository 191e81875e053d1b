"""Conditions on people and objects: the App API's filters, and what defines a segment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from .objects import Object
from .people import IDENTIFIERS, Person
from .workspace_state import State

Test = Callable[[Any], bool]
#: Returns the test of one kind of condition.
Compiler = Callable[[Any], Test]

_DAY_S = 24 * 3600
_EVENT_FIELDS = {"name", "type", "at_least", "days"}


class ConditionError(ValueError):
    """A condition that is not valid."""


def text(value: Any) -> str:
    """Return an attribute value as the App API shows it: as a string, or as JSON in a string."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def person_test(state: State, condition: Any) -> Test:
    """Return the test of the App API's filter for people.

    Raises:
        ConditionError: The filter is not valid.
    """
    return _compile(condition, {"attribute": _attribute, "segment": _segment(state)})


def segment_test(state: State, condition: Any) -> Test:
    """Return the test of a segment: a filter for people, in which events count, too.

    Raises:
        ConditionError: The condition is not valid.
    """
    return _compile(
        condition, {"attribute": _attribute, "segment": _segment(state), "event": _event}
    )


def object_test(condition: Any) -> Test:
    """Return the test of the App API's filter for objects.

    Raises:
        ConditionError: The filter is not valid.
    """
    return _compile(condition, {"object_attribute": _object_attribute})


def member_test(state: State, segment_id: int) -> Test:
    """Return the test whether a person is in a segment."""
    segment = state.segments.find(segment_id)
    if segment is None or segment.conditions is None:
        return lambda person: segment_id in person.segments
    return segment_test(state, segment.conditions)


def named_segments(condition: Any) -> set[int]:
    """Return the ids of the segments that a valid condition names."""
    if isinstance(condition, list):
        return {found for each in condition for found in named_segments(each)}
    [(kind, body)] = condition.items()
    if kind == "segment":
        return {body["id"]}
    return named_segments(body) if kind in ("and", "or", "not") else set()


def _compile(condition: Any, leaves: Mapping[str, Compiler]) -> Test:
    if not isinstance(condition, dict) or len(condition) != 1:
        raise ConditionError(f"a filter is an object with one of and, or, not, {', '.join(leaves)}")
    [(kind, body)] = condition.items()
    if kind in leaves:
        return leaves[kind](body)
    if kind == "not":
        test = _compile(body, leaves)
        return lambda subject: not test(subject)
    if kind not in ("and", "or"):
        raise ConditionError(f"unknown filter {kind}")
    if not isinstance(body, list) or not body:
        raise ConditionError("and, or take a list of filters")
    tests = [_compile(each, leaves) for each in body]
    whether = all if kind == "and" else any
    return lambda subject: whether(test(subject) for test in tests)


def _wanted(body: Any) -> tuple[str, str | None]:
    """Return the field of a condition, and the value it must have; None: any value."""
    if not isinstance(body, dict) or not isinstance(body.get("field"), str):
        raise ConditionError("an attribute filter needs a field")
    if body.get("operator") not in ("eq", "exists"):
        raise ConditionError("the operator of an attribute filter is eq or exists")
    if body["operator"] == "exists":
        return body["field"], None
    if "value" not in body:
        raise ConditionError("the operator eq needs a value")
    return body["field"], text(body["value"])


def _fits(value: Any, wanted: str | None) -> bool:
    return value is not None and (wanted is None or text(value) == wanted)


def _attribute(body: Any) -> Test:
    field, wanted = _wanted(body)
    if field == "cio_id":
        return lambda person: _fits(person.cio_id, wanted)
    if field in IDENTIFIERS:
        return lambda person: _fits(person.identifiers.get(field), wanted)
    return lambda person: _fits(person.attributes.values.get(field), wanted)


def _object_attribute(body: Any) -> Test:
    field, wanted = _wanted(body)
    type_id = str(body.get("type_id", ""))
    if not type_id:
        raise ConditionError("an object_attribute needs a type_id")

    def test(found: Object) -> bool:
        return found.type_id == type_id and _fits(found.attributes.values.get(field), wanted)

    return test


def _segment(state: State) -> Compiler:
    def compile_segment(body: Any) -> Test:
        if not isinstance(body, dict) or type(body.get("id")) is not int:
            raise ConditionError("a segment filter needs an integer id")
        return member_test(state, body["id"])

    return compile_segment


def _event(body: Any) -> Test:
    if not isinstance(body, dict) or not body.keys() <= _EVENT_FIELDS:
        raise ConditionError(f"an event has some of {', '.join(sorted(_EVENT_FIELDS))}")
    name, type_, days = body.get("name"), body.get("type", "event"), body.get("days")
    at_least = body.get("at_least", 1)
    if not isinstance(name, str) or type_ not in ("event", "page", "screen"):
        raise ConditionError("an event needs a name; its type is event, page or screen")
    if type(at_least) is not int or at_least < 1 or not (days is None or type(days) is int):
        raise ConditionError("at_least is an integer from 1, and days is an integer")

    def test(person: Person) -> bool:
        since = 0 if days is None else time.time() - days * _DAY_S
        found = 0
        for event in reversed(person.events):
            found += event.name == name and event.type == type_ and event.at >= since
            if found == at_least:
                return True
        return False

    return test
