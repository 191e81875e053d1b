"""Filters of people and objects: conditions joined by ``&``, ``|`` and ``~``.

Example::

    (attr("plan") == "pro") & ~attr("churned").exists()
    in_segment(7) | (attr("country") == "DE")
    object_attr("name") == "Acme"

Python's ``and``, ``or`` and ``not`` cannot join conditions. Each comparison needs parentheses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Literal, NoReturn, TypeAlias
from uuid import UUID

from .app_api_errors import AppApiCallError

#: What a filter asks about.
Subject: TypeAlias = Literal["people", "objects"]

#: The first key of the API's own filters.
_KEYS: dict[Subject, tuple[str, ...]] = {
    "people": ("and", "or", "not", "attribute", "segment"),
    "objects": ("and", "or", "not", "object_attribute"),
}
_OPERATORS = "Customer.io compares for equality alone: use ==, !=, .exists() and ~"


class Filter:
    """A condition, or several of them. Immutable.

    A filter can be nested deeper than Customer.io's description shows. It is sent as it is;
    Customer.io may refuse it then, with :class:`AppApiRequestError`.
    """

    __slots__ = ()

    def __and__(self, other: Filter) -> Filter:
        return _joined("and", self, other)

    def __or__(self, other: Filter) -> Filter:
        return _joined("or", self, other)

    def __invert__(self) -> Filter:
        return Negation(self)

    def __rand__(self, other: object) -> NoReturn:
        raise _needs_parentheses(other)

    def __ror__(self, other: object) -> NoReturn:
        raise _needs_parentheses(other)

    def __bool__(self) -> NoReturn:
        raise AppApiCallError(
            "a filter is neither true nor false here: join filters by &, | and ~ instead of and, "
            "or and not, and do not chain comparisons"
        )

    def as_dict(self, object_type_id: str | None = None) -> dict[str, Any]:
        """Return the filter as the App API takes it.

        Args:
            object_type_id: the type of the objects that are searched; None: people are searched.

        Raises:
            AppApiCallError: a condition is about something else.
        """
        raise NotImplementedError


class Condition(Filter):
    """One condition on a person or an object."""

    __slots__ = ("_body", "_kind")

    def __init__(
        self, kind: Literal["attribute", "object_attribute", "segment"], body: Mapping[str, Any]
    ) -> None:
        self._kind = kind
        self._body = body

    def as_dict(self, object_type_id: str | None = None) -> dict[str, Any]:
        if self._kind == "object_attribute":
            if object_type_id is None:
                raise AppApiCallError("object_attr() cannot filter people: use attr()")
            return {self._kind: {**self._body, "type_id": object_type_id}}
        if object_type_id is not None:
            called = "in_segment()" if self._kind == "segment" else "attr()"
            raise AppApiCallError(f"{called} cannot filter objects: use object_attr()")
        return {self._kind: dict(self._body)}

    def __repr__(self) -> str:
        if self._kind == "segment":
            return f"in_segment({self._body['id']})"
        named = f"{'attr' if self._kind == 'attribute' else 'object_attr'}({self._body['field']!r})"
        if self._body["operator"] == "exists":
            return f"{named}.exists()"
        return f"({named} == {self._body['value']!r})"


class Junction(Filter):
    """Filters of which all (``and``) or at least one (``or``) must match."""

    __slots__ = ("_operator", "_parts")

    def __init__(self, operator: Literal["and", "or"], parts: Iterable[Filter]) -> None:
        self._operator = operator
        self._parts = tuple(parts)

    def parts(self, operator: str) -> tuple[Filter, ...]:
        """Return what is joined, if it is joined by ``operator``; else the whole."""
        return self._parts if operator == self._operator else (self,)

    def as_dict(self, object_type_id: str | None = None) -> dict[str, Any]:
        return {self._operator: [each.as_dict(object_type_id) for each in self._parts]}

    def __repr__(self) -> str:
        sign = " & " if self._operator == "and" else " | "
        return f"({sign.join(map(repr, self._parts))})"


class Negation(Filter):
    """A filter that must not match."""

    __slots__ = ("_part",)

    def __init__(self, part: Filter) -> None:
        self._part = part

    def __invert__(self) -> Filter:
        return self._part

    def as_dict(self, object_type_id: str | None = None) -> dict[str, Any]:
        return {"not": self._part.as_dict(object_type_id)}

    def __repr__(self) -> str:
        return f"~{self._part!r}"


class Attribute:
    """An attribute that a condition compares. It is no condition by itself."""

    __slots__ = ("_field", "_kind")
    __hash__ = None  # type: ignore[assignment]  # comparing one gives a filter

    def __init__(self, kind: Literal["attribute", "object_attribute"], field: str) -> None:
        if not isinstance(field, str) or not field:
            raise AppApiCallError(f"the name of an attribute is a text; it is {_kind(field)}")
        self._kind: Literal["attribute", "object_attribute"] = kind
        self._field = field

    def __eq__(self, value: object) -> Filter:  # type: ignore[override]
        body = {"field": self._field, "operator": "eq", "value": value_text(value)}
        return Condition(self._kind, body)

    def __ne__(self, value: object) -> Filter:  # type: ignore[override]
        return ~(self == value)

    def exists(self) -> Filter:
        """Return the filter of those that have the attribute."""
        return Condition(self._kind, {"field": self._field, "operator": "exists"})

    def __bool__(self) -> NoReturn:
        raise self._incomplete()

    def __and__(self, other: object) -> NoReturn:
        raise self._incomplete()

    __or__ = __rand__ = __ror__ = __and__

    def __invert__(self) -> NoReturn:
        raise self._incomplete()

    def __lt__(self, value: object) -> NoReturn:
        raise AppApiCallError(_OPERATORS)

    __le__ = __gt__ = __ge__ = __contains__ = __lt__

    def __iter__(self) -> NoReturn:
        raise AppApiCallError(_OPERATORS)

    def __repr__(self) -> str:
        return f"{'attr' if self._kind == 'attribute' else 'object_attr'}({self._field!r})"

    def _incomplete(self) -> AppApiCallError:
        return AppApiCallError(
            f"{self!r} is no condition by itself: compare it, as in ({self!r} == …), or ask "
            f"{self!r}.exists(); each comparison needs parentheses"
        )


def attr(name: str) -> Attribute:
    """Return an attribute of people, to compare.

    For example ``attr("plan") == "pro"`` or ``attr("plan").exists()``.
    """
    return Attribute("attribute", name)


def object_attr(name: str) -> Attribute:
    """Return an attribute of objects, to compare: ``object_attr("name") == "Acme"``."""
    return Attribute("object_attribute", name)


def in_segment(segment_id: int) -> Filter:
    """Return the filter of the people in a segment.

    Raises:
        AppApiCallError: it is no id of a segment.
    """
    return Condition("segment", {"id": segment_number(segment_id)})


def segment_number(segment_id: object) -> int:
    """Return the id of a segment as a number.

    Raises:
        AppApiCallError: it is no id of a segment.
    """
    if isinstance(segment_id, str) and segment_id.isascii() and segment_id.isdecimal():
        segment_id = int(segment_id[:20])
    if not isinstance(segment_id, int) or isinstance(segment_id, bool):
        raise AppApiCallError(f"the id of a segment is a number; it is {_kind(segment_id)}")
    if not 0 < segment_id < 2**31:
        raise AppApiCallError(f"the id of a segment is from 1 to {2**31 - 1}; it is {segment_id}")
    return int(segment_id)


def filter_document(where: object, object_type_id: str | None = None) -> dict[str, Any]:
    """Return the API's form of a filter.

    Args:
        where: a :class:`Filter`, or the API's own dict.
        object_type_id: the type of the objects that are searched; None: people are searched.

    Raises:
        AppApiCallError: it is no filter, an empty one, or one about something else.
    """
    if isinstance(where, Filter):
        try:
            return where.as_dict(object_type_id)
        except RecursionError:
            raise AppApiCallError("the filter is nested too deep to be sent") from None
    subject: Subject = "people" if object_type_id is None else "objects"
    choice = ", ".join(_KEYS[subject])
    if isinstance(where, Attribute):
        raise where._incomplete()
    if not isinstance(where, Mapping):
        raise AppApiCallError(
            "a filter is an expression such as attr('plan') == 'pro', or a dict; "
            f"it is {_kind(where)}"
        )
    if len(where) != 1:
        held = "an empty dict" if not where else f"a dict with {len(where)} keys"
        raise AppApiCallError(f"the filter of {subject} has one key of {choice}; it is {held}")
    ((key, body),) = where.items()
    if key not in _KEYS[subject]:
        raise AppApiCallError(f"the filter of {subject} has one key of {choice}; it has another")
    if key in ("and", "or") and not body:
        raise AppApiCallError(f"the {key!r} of a filter needs at least one condition; it is empty")
    return dict(where)


def value_text(value: object) -> str:
    """Return the text with which Customer.io compares an attribute, whose values are texts.

    Raises:
        AppApiCallError: the value has no such text.
    """
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | UUID) and value == value:
        return str(value)
    if value is None:
        raise AppApiCallError("None is no value to compare: ask ~attr(…).exists()")
    raise AppApiCallError(
        f"an attribute is compared with a text, a number, a boolean or a UUID; it is {_kind(value)}"
    )


def _joined(operator: Literal["and", "or"], one: Filter, other: object) -> Filter:
    if isinstance(other, Attribute):
        raise other._incomplete()
    if not isinstance(other, Filter):
        raise _needs_parentheses(other)
    parts = [
        part
        for each in (one, other)
        for part in (each.parts(operator) if isinstance(each, Junction) else (each,))
    ]
    return Junction(operator, parts)


def _needs_parentheses(other: object) -> AppApiCallError:
    return AppApiCallError(
        f"a filter is joined with another filter, not with {_kind(other)}: each comparison needs "
        "parentheses, as in (attr('plan') == 'pro') & attr('email').exists()"
    )


def _kind(value: object) -> str:
    return "nothing" if value is None else f"of type {type(value).__name__}"
