"""The filters of searches: and, or, not, by attribute, by segment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .attribute_strings import text


class Subject(NamedTuple):
    """What a filter looks at in a person or an object."""

    attributes: Mapping[str, Any]
    segments: frozenset[int] = frozenset()
    type_id: str | None = None


class BadFilter(ValueError):
    """A filter that means nothing."""


Test = Callable[[Subject], bool]


def compile_filter(filter: Any) -> Test:
    """Turn a filter into a test, or raise `BadFilter`."""
    if not isinstance(filter, dict) or len(filter) != 1:
        raise BadFilter(
            "a filter is an object with one of and, or, not, attribute, object_attribute, segment"
        )
    [(kind, body)] = filter.items()
    try:
        return _COMPILERS[kind](body)
    except KeyError:
        raise BadFilter(f"unknown filter {kind}") from None


def _all(body: Any) -> Test:
    tests = [compile_filter(each) for each in _filters(body)]
    return lambda subject: all(test(subject) for test in tests)


def _any(body: Any) -> Test:
    tests = [compile_filter(each) for each in _filters(body)]
    return lambda subject: any(test(subject) for test in tests)


def _filters(body: Any) -> list[Any]:
    if not isinstance(body, list) or not body:
        raise BadFilter("and, or take a list of filters")
    return body


def _not(body: Any) -> Test:
    test = compile_filter(body)
    return lambda subject: not test(subject)


def _attribute(body: Any) -> Test:
    field, operator = _field_and_operator(body)
    if operator == "exists":
        return lambda subject: field in subject.attributes
    if "value" not in body:
        raise BadFilter("the operator eq needs a value")
    wanted = text(body["value"])
    return lambda subject: field in subject.attributes and text(subject.attributes[field]) == wanted


def _object_attribute(body: Any) -> Test:
    test = _attribute(body)
    type_id = str(body.get("type_id", ""))
    if not type_id:
        raise BadFilter("an object_attribute needs a type_id")
    return lambda subject: subject.type_id == type_id and test(subject)


def _field_and_operator(body: Any) -> tuple[str, str]:
    if not isinstance(body, dict) or not isinstance(body.get("field"), str):
        raise BadFilter("an attribute filter needs a field")
    if body.get("operator") not in ("eq", "exists"):
        raise BadFilter("the operator of an attribute filter is eq or exists")
    return body["field"], body["operator"]


def _segment(body: Any) -> Test:
    if not isinstance(body, dict) or type(body.get("id")) is not int:
        raise BadFilter("a segment filter needs an integer id")
    return lambda subject: body["id"] in subject.segments


_COMPILERS: dict[str, Callable[[Any], Test]] = {
    "and": _all,
    "or": _any,
    "not": _not,
    "attribute": _attribute,
    "object_attribute": _object_attribute,
    "segment": _segment,
}
