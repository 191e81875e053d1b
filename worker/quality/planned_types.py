"""How the catalog's types relate to those of a tracking plan. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .shapes import ValueType

#: The JSON Schema type of each type of the catalog.
JSON_TYPES = {
    ValueType.STRING: "string",
    ValueType.EMPTY: "string",
    ValueType.NUMBER_TEXT: "string",
    ValueType.BOOLEAN_TEXT: "string",
    ValueType.DATE_TEXT: "string",
    ValueType.UNIX_TEXT: "string",
    ValueType.INTEGER: "integer",
    ValueType.UNIX_S: "integer",
    ValueType.UNIX_MS: "integer",
    ValueType.NUMBER: "number",
    ValueType.BOOLEAN: "boolean",
    ValueType.NULL: "null",
    ValueType.LIST: "array",
    ValueType.OBJECT: "object",
}
#: Texts that are values of another type in quotes.
_QUOTED = {
    "number": (ValueType.NUMBER_TEXT, ValueType.UNIX_TEXT, ValueType.EMPTY),
    "integer": (ValueType.NUMBER_TEXT, ValueType.UNIX_TEXT, ValueType.EMPTY),
    "boolean": (ValueType.BOOLEAN_TEXT, ValueType.EMPTY),
}
#: A type with a smaller share is an accident, and no part of a plan.
MIN_SHARE = 0.05


def allowed_types(schema: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the JSON Schema types that a schema allows, or None if it does not say."""
    given = schema.get("type")
    if given is None:
        return None
    types = frozenset([given] if isinstance(given, str) else given)
    return types | {"integer"} if "number" in types else types


def planned_type(counts: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """Return the types that a plan should have for a value, and those that look like accidents.

    Args:
        counts: how often the value had each type of the catalog.
    """
    known = {each: number for each, number in counts.items() if each in JSON_TYPES and number > 0}
    by_type: dict[str, int] = {}
    for each, number in known.items():
        name = JSON_TYPES[ValueType(each)]
        by_type[name] = by_type.get(name, 0) + number
    if "number" in by_type and "integer" in by_type:
        by_type["number"] += by_type.pop("integer")
    null = by_type.pop("null", 0)
    types = _without_accidents(known, by_type)
    accidents = [
        each
        for each in known
        if JSON_TYPES[ValueType(each)] not in (*types, "null")
        and not (JSON_TYPES[ValueType(each)] == "integer" and "number" in types)
    ]
    return ([*types, "null"] if null and types else types), accidents


def _without_accidents(known: Mapping[str, int], by_type: Mapping[str, int]) -> list[str]:
    texts = [each for each in known if JSON_TYPES[ValueType(each)] == "string"]
    for name, quoted in _QUOTED.items():
        # "12.50" beside 12.5: the number is meant.
        if name in by_type and texts and all(each in quoted for each in texts):
            by_type = {each: number for each, number in by_type.items() if each != "string"}
    total = sum(by_type.values())
    ordered = sorted(by_type, key=lambda each: (-by_type[each], each))
    return [each for each in ordered if by_type[each] >= MIN_SHARE * total]


def shares(counts: Mapping[str, int], of: Iterable[str]) -> str:
    """Return ``3 % number in a string, 1 % null``."""
    total = sum(counts.values()) or 1
    return ", ".join(f"{100 * counts[each] / total:.3g} % {each}" for each in of)
