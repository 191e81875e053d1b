"""Fix what a job does not keep of the tracking plan, where nothing is lost by it. Pure.

A fix renames an event or a property to its planned name, gives a value its planned type, and takes
out an attribute that another application owns. All other parts of a document stay byte by byte.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import msgspec

from trackrelay.operations import limits

from .shapes import ValueType, text_type

if TYPE_CHECKING:
    from trackrelay.plan.plan_checker import Violation

#: Larger integers lose digits in the numbers of JavaScript, and of Customer.io's segments.
MAX_EXACT = 2**53
_INTEGER = re.compile(r"-?\d+")
_NUMBER_TEXTS = (ValueType.NUMBER_TEXT, ValueType.UNIX_TEXT)
_BOOLEANS = {"true": True, "false": False}

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_Fields = dict[str, msgspec.Raw]


@dataclass(frozen=True, slots=True)
class Fix:
    """A document with its planned names and types."""

    body: bytes
    #: What was done, in words: names and types, never a value.
    notes: tuple[str, ...]
    #: The violations that it ends.
    fixed: tuple[Violation, ...]


def fix(body: bytes, violations: Sequence[Violation]) -> Fix | None:
    """Return ``body`` with all of ``violations`` fixed that can be; None if none can.

    Raises:
        msgspec.DecodeError: the body is not a JSON object with an object of attributes.
    """
    fields = _fields(body)
    attributes = _fields(fields["attributes"]) if "attributes" in fields else {}
    notes: list[str] = []
    fixed: list[Violation] = []
    # A value is converted under the name under which it came, so names are changed last.
    for apply in (_take_out, _convert, _rename_property):
        for each in violations:
            if note := apply(attributes, each):
                notes.append(note)
                fixed.append(each)
    if fixed:
        fields["attributes"] = msgspec.Raw(msgspec.json.encode(attributes))
    for each in violations:
        if note := _rename_event(fields, each):
            notes.append(note)
            fixed.append(each)
    if not fixed:
        return None
    result = msgspec.json.encode(fields)
    return Fix(result, tuple(notes), tuple(fixed)) if _is_sent_alike(body, result) else None


def _is_sent_alike(body: bytes, fixed: bytes) -> bool:
    # Other endpoints deliver what is larger, with a breaker of their own.
    limit = limits.OPERATION_BYTES
    if len(fixed) > limit:
        return len(fixed) <= len(body)
    return len(body) <= limit


def _take_out(attributes: _Fields, violation: Violation) -> str | None:
    if violation.kind != "not_owner" or len(violation.at) != 1:
        return None
    name = violation.at[0]
    if not isinstance(name, str) or attributes.pop(name, None) is None:
        return None
    return f"{violation.path} left out: it belongs to {violation.expected}"


def _convert(attributes: _Fields, violation: Violation) -> str | None:
    if violation.kind != "type" or not violation.at:
        return None
    first, *rest = violation.at
    if not isinstance(first, str) or first not in attributes:
        return None
    # In a list, so that something always holds the value that is replaced.
    root: list[Any] = [msgspec.json.decode(attributes[first])]
    holder: Any = root
    last: Any = 0
    for step in rest:
        holder, last = holder[last], step
    before = holder[last]
    value = converted(before, violation.types)
    if value is None:
        return None
    holder[last] = value
    attributes[first] = msgspec.Raw(msgspec.json.encode(root[0]))
    return f"{violation.path}: {_TYPE_NAMES[type(before)]} → {_TYPE_NAMES[type(value)]}"


def _rename_property(attributes: _Fields, violation: Violation) -> str | None:
    if violation.kind != "alias_property" or len(violation.at) != 1:
        return None
    alias, name = str(violation.at[0]), violation.target
    if alias not in attributes:
        return None
    if name in attributes and not _is_equal(attributes[alias], attributes[name]):
        # Nobody knows which of the two is right.
        return None
    renamed = {name if each == alias else each: value for each, value in attributes.items()}
    attributes.clear()
    attributes.update(renamed)
    return f"{alias} → {name}"


def _is_equal(one: msgspec.Raw, other: msgspec.Raw) -> bool:
    return bool(msgspec.json.decode(one) == msgspec.json.decode(other))


def _rename_event(fields: _Fields, violation: Violation) -> str | None:
    if violation.kind != "alias_event" or not violation.target:
        return None
    fields["name"] = msgspec.Raw(msgspec.json.encode(violation.target))
    return f"{violation.subject} → {violation.target}"


_TYPE_NAMES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def converted(value: Any, types: Sequence[str]) -> bool | float | str | None:
    """Return ``value`` in one of the JSON Schema ``types``, or None if that would change it.

    ``"12.50"`` becomes 12.5, ``"7"`` becomes 7, ``"true"`` becomes true, and 7 becomes ``"7"``.
    A text such as ``"007"``, ``"+49"`` or ``"12,50"`` is no number.
    """
    if isinstance(value, str):
        number = _number(value)
        if number is not None and ("number" in types or "integer" in types):
            return number if "number" in types or isinstance(number, int) else None
        return _BOOLEANS.get(value.lower()) if "boolean" in types else None
    if type(value) is int and "string" in types:
        return str(value)
    return None


def _number(text: str) -> int | float | None:
    if text_type(text) not in _NUMBER_TEXTS:
        return None
    if _INTEGER.fullmatch(text):
        whole = int(text)
        return whole if abs(whole) <= MAX_EXACT else None
    number = float(text)
    try:
        is_exact = math.isfinite(number) and Decimal(text) == Decimal(repr(number))
    except InvalidOperation:
        return None
    return number if is_exact else None
