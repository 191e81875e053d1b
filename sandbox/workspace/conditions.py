"""Conditions on people and objects: the App API's filters, and what defines a segment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from trackrelay.sandbox.sandbox_clock import parse_span

from .activities import StoredEvent
from .objects import Object
from .people import IDENTIFIERS, Person
from .workspace_state import State

Test = Callable[[Any], bool]
#: Returns the test of one kind of condition.
Compiler = Callable[[Any], Test]

_DAY_S = 24 * 3600
_EVENT_FIELDS = {"name", "type", "at_least", "days", "within", "since", "data"}
#: Operators of the App API's filters, and those that only segments have.
_FILTER_OPERATORS = ("eq", "exists")
_SEGMENT_OPERATORS = ("eq", "exists", "gt", "lt", "within")


class Moment(NamedTuple):
    """When a condition is judged.

    Attributes:
        now: Unix seconds.
        since: When the trigger of a journey happened; None outside a campaign.
        trigger: The number of the event that is the trigger.
    """

    now: float
    since: float | None = None
    trigger: int | None = None


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


def segment_test(state: State, condition: Any, moment: Moment | None = None) -> Test:
    """Return the test of a segment: a filter for people, in which events and times count, too.

    Args:
        state: What the workspace holds.
        condition: The filter.
        moment: When it is judged; None: now.

    Raises:
        ConditionError: The condition is not valid.
    """
    moment = moment or Moment(state.clock.now())
    leaves = {
        "attribute": _timed_attribute(moment),
        "segment": _segment(state, moment),
        "event": _event(moment),
    }
    return _compile(condition, leaves)


def object_test(condition: Any) -> Test:
    """Return the test of the App API's filter for objects.

    Raises:
        ConditionError: The filter is not valid.
    """
    return _compile(condition, {"object_attribute": _object_attribute})


def member_test(state: State, segment_id: int, moment: Moment | None = None) -> Test:
    """Return the test whether a person is in a segment."""
    segment = state.segments.find(segment_id)
    if segment is None or segment.conditions is None:
        return lambda person: segment_id in person.segments
    return segment_test(state, segment.conditions, moment)


def event_test(body: Any, moment: Moment) -> Callable[[StoredEvent], bool]:
    """Return the test whether one event is meant by the body of an ``event`` condition.

    Raises:
        ConditionError: The condition is not valid.
    """
    if not isinstance(body, dict) or not body.keys() <= _EVENT_FIELDS:
        raise ConditionError(f"an event has some of {', '.join(sorted(_EVENT_FIELDS))}")
    name, type_, data = body.get("name"), body.get("type", "event"), body.get("data", {})
    if not isinstance(name, str) or type_ not in ("event", "page", "screen"):
        raise ConditionError("an event needs a name; its type is event, page or screen")
    if not isinstance(data, dict):
        raise ConditionError("data has a value, or an operator with a value, for each path")
    since = _event_since(body, moment)
    # Times have whole seconds. In the second of the trigger, the order of arrival decides.
    first_seq = (moment.trigger or 0) + 1 if "since" in body else 0
    tests = [(path.split("."), _data_test(wanted, moment)) for path, wanted in data.items()]

    def test(event: StoredEvent) -> bool:
        if event.name != name or event.type != type_ or event.at < since:
            return False
        if event.at == since and event.seq < first_seq:
            return False
        sent = event.details.data if event.details else {}
        return all(any(map(fits, _values(sent, path))) for path, fits in tests)

    return test


def parts(condition: Any) -> Iterator[tuple[str, Any]]:
    """Yield kind and body of every part of a valid condition that is no and, or, not."""
    if isinstance(condition, list):
        for each in condition:
            yield from parts(each)
        return
    [(kind, body)] = condition.items()
    if kind in ("and", "or", "not"):
        yield from parts(body)
    else:
        yield kind, body


def named_segments(condition: Any) -> set[int]:
    """Return the ids of the segments that a valid condition names."""
    return {body["id"] for kind, body in parts(condition) if kind == "segment"}


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


def _value_test(operator: Any, body: Any, moment: Moment, allowed: tuple[str, ...]) -> Test:
    """Return the test of a value by an operator; ``body`` has the ``value`` to compare with."""
    if operator not in allowed:
        listed = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
        raise ConditionError(f"the operator of an attribute filter is {listed}")
    if operator == "exists":
        return lambda value: value is not None
    if "value" not in body:
        raise ConditionError(f"the operator {operator} needs a value")
    wanted = body["value"]
    if operator == "eq":
        as_text = text(wanted)
        return lambda value: value is not None and text(value) == as_text
    if operator == "within":
        since = moment.now - _span(wanted)
        # As at Customer.io, only unix seconds are a time: no text, and no milliseconds.
        return lambda value: _is_number(value) and since <= value <= moment.now
    if not _is_number(wanted):
        raise ConditionError(f"the operator {operator} needs a number")
    if operator == "gt":
        return lambda value: _is_number(value) and value > wanted
    return lambda value: _is_number(value) and value < wanted


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _span(value: Any) -> float:
    try:
        return parse_span(value)
    except ValueError as error:
        raise ConditionError(str(error)) from None


def _field_test(body: Any, moment: Moment, allowed: tuple[str, ...]) -> tuple[str, Test]:
    if not isinstance(body, dict) or not isinstance(body.get("field"), str):
        raise ConditionError("an attribute filter needs a field")
    return body["field"], _value_test(body.get("operator"), body, moment, allowed)


def _attribute(body: Any) -> Test:
    return _person_attribute(*_field_test(body, Moment(0.0), _FILTER_OPERATORS))


def _timed_attribute(moment: Moment) -> Compiler:
    return lambda body: _person_attribute(*_field_test(body, moment, _SEGMENT_OPERATORS))


def _person_attribute(field: str, fits: Test) -> Test:
    if field == "cio_id":
        return lambda person: fits(person.cio_id)
    if field in IDENTIFIERS:
        return lambda person: fits(person.identifiers.get(field))
    return lambda person: fits(person.attributes.values.get(field))


def _object_attribute(body: Any) -> Test:
    field, fits = _field_test(body, Moment(0.0), _FILTER_OPERATORS)
    type_id = str(body.get("type_id", ""))
    if not type_id:
        raise ConditionError("an object_attribute needs a type_id")

    def test(found: Object) -> bool:
        return found.type_id == type_id and fits(found.attributes.values.get(field))

    return test


def _segment(state: State, moment: Moment | None = None) -> Compiler:
    def compile_segment(body: Any) -> Test:
        if not isinstance(body, dict) or type(body.get("id")) is not int:
            raise ConditionError("a segment filter needs an integer id")
        return member_test(state, body["id"], moment)

    return compile_segment


def _event(moment: Moment) -> Compiler:
    def compile_event(body: Any) -> Test:
        test = event_test(body, moment)
        at_least = body.get("at_least", 1)
        if type(at_least) is not int or at_least < 1:
            raise ConditionError("at_least is an integer from 1")

        def has_done(person: Person) -> bool:
            found = 0
            for event in reversed(person.events):
                found += test(event)
                if found == at_least:
                    return True
            return False

        return has_done

    return compile_event


def _event_since(body: Mapping[str, Any], moment: Moment) -> float:
    """Return the earliest time of an event that counts."""
    since, days = body.get("since"), body.get("days")
    if not (days is None or type(days) is int):
        raise ConditionError("days is an integer")
    if since not in (None, "trigger"):
        raise ConditionError(f"since is {since!r}; it must be 'trigger'")
    if since is not None and moment.since is None:
        raise ConditionError("since: trigger is only for unless and filter of a campaign")
    spans = [float(days * _DAY_S)] if days is not None else []
    spans += [_span(body["within"])] if "within" in body else []
    return max([0.0, moment.since or 0.0 if since else 0.0, *(moment.now - each for each in spans)])


def _data_test(wanted: Any, moment: Moment) -> Test:
    if isinstance(wanted, dict):
        if len(wanted) != 1:
            raise ConditionError("a value of data is compared by one operator, such as {'gt': 50}")
        [(operator, value)] = wanted.items()
        return _value_test(operator, {"value": value}, moment, _SEGMENT_OPERATORS)
    return _value_test("eq", {"value": wanted}, moment, _SEGMENT_OPERATORS)


def _values(document: Any, path: list[str]) -> Iterator[Any]:
    """Yield the values at a path such as ``items[].sku``."""
    if not path:
        yield document
        return
    name = path[0].removesuffix("[]")
    value = document.get(name) if isinstance(document, dict) else None
    if name == path[0]:
        yield from _values(value, path[1:])
    elif isinstance(value, list):
        for item in value:
            yield from _values(item, path[1:])
