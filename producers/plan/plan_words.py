"""A plan in words for people who write campaigns, not code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .plan_model import EventPlan, ObjectPlan, Plan, PropertyPlan
from .python_types import UNIX_SECONDS

#: Values of an enum that are listed.
MAX_VALUES = 12
_SINGULAR = re.compile(r"\b1 (item|character)s\b")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TYPES = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "null": "empty",
    "array": "list",
    "object": "group",
}
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}


@dataclass(frozen=True, slots=True)
class PropertyWords:
    """A property, or a value inside one.

    Attributes:
        path: its name; ``items[].sku`` inside a list.
        type: its type in words.
        is_required: whether it is always there.
        description: what it means.
        values: the allowed values, or the bounds.
        privacy: ``personal``, ``sensitive``, or empty.
        liquid: how a message shows it.
        aliases: other names under which applications send it.
        owners: the applications that set it.
    """

    path: str
    type: str
    is_required: bool
    description: str = ""
    values: str = ""
    privacy: str = ""
    liquid: str = ""
    aliases: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()


def event_words(event: EventPlan) -> list[PropertyWords]:
    """Return the properties of an event."""
    return _all(event.properties, "event")


def person_words(plan: Plan) -> list[PropertyWords]:
    """Return the attributes of people."""
    return _all(plan.attributes, "customer")


def object_words(planned: ObjectPlan) -> list[PropertyWords]:
    """Return the attributes of objects of a type."""
    return _all(planned.attributes, "")


def lateness_words(seconds: float) -> str:
    """Return a duration, such as ``10 minutes``."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            number = int(seconds // size)
            return f"{number} {unit}{'s' * (number != 1)}"
    return f"{seconds:g} seconds"


def type_words(schema: Mapping[str, Any]) -> str:
    """Return the type of a value in words."""
    given = schema.get("type")
    types = [given] if isinstance(given, str) else list(given or ())
    if "integer" in types and schema.get("format") == UNIX_SECONDS:
        types[types.index("integer")] = "time"
    shown = [_TYPES.get(each, each) for each in types if each != "null"]
    words = " or ".join(shown) or ("any" if not types else "empty")
    return f"{words}, can be empty" if "null" in types and shown else words


def _all(properties: Mapping[str, PropertyPlan], liquid: str) -> list[PropertyWords]:
    return [words for each in properties.values() for words in _of_property(each, liquid)]


def _of_property(planned: PropertyPlan, of: str) -> Iterator[PropertyWords]:
    place = _place(of, planned.name) if of else ""
    yield PropertyWords(
        path=planned.name,
        type=type_words(planned.schema),
        is_required=planned.required,
        description=planned.description,
        values=_values(planned.schema),
        privacy=planned.privacy if planned.privacy not in (None, "none") else "",
        liquid=_liquid(planned.schema, place),
        aliases=planned.aliases,
        owners=planned.owners,
    )
    yield from _nested(planned.schema, planned.name, place)


def _nested(schema: Any, path: str, place: str) -> Iterator[PropertyWords]:
    if not isinstance(schema, Mapping):
        return
    if isinstance(items := schema.get("items"), Mapping):
        # A loop inside a loop would need another name for its items.
        inside = "item" if place and not place.startswith("item.") else ""
        yield from _nested(items, f"{path}[]", inside)
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return
    required = schema.get("required", ())
    for name, inner in properties.items():
        if isinstance(inner, Mapping):
            at, below = f"{path}.{name}", _place(place, name) if place else ""
            yield PropertyWords(
                path=at,
                type=type_words(inner),
                is_required=name in required,
                description=str(inner.get("description", "")),
                values=_values(inner),
                liquid=_liquid(inner, below),
            )
            yield from _nested(inner, at, below)


def _liquid(schema: Mapping[str, Any], place: str) -> str:
    """Return how a message shows a value, or each item of a list."""
    if not place:
        return ""
    types = schema.get("type")
    if types == "array":
        return f"{{% for item in {place} %}} … {{% endfor %}}"
    return "" if types == "object" else f"{{{{ {place} }}}}"


def _place(of: str, name: str) -> str:
    if _PLAIN.fullmatch(name):
        return f"{of}.{name}"
    quoted = name.replace('"', '\\"')
    return f'{of}["{quoted}"]'


def _values(schema: Mapping[str, Any]) -> str:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if isinstance(values, list):
        listed = ", ".join(_shown(each) for each in values[:MAX_VALUES])
        more = len(values) - MAX_VALUES
        return listed + (f" and {more} more" if more > 0 else "")
    parts = [words.format(schema[name]) for name, words in _BOUNDS.items() if name in schema]
    parts = [_SINGULAR.sub(r"1 \1", each) for each in parts]
    if "pattern" in schema:
        parts.append(f"like {schema['pattern']}")
    if schema.get("format") not in (None, UNIX_SECONDS):
        parts.append(f"in the format {schema['format']}")
    return ", ".join(parts)


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    return str(value).lower() if isinstance(value, bool) else str(value)
