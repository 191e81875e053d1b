"""The JSON Schema of a property, and the words of the plan beside it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trackrelay.suggestion import did_you_mean

#: Words of the plan at a property of an event …
PROPERTY_WORDS = frozenset(["description", "aliases", "privacy"])
#: … and at an attribute of a person or an object.
ATTRIBUTE_WORDS = PROPERTY_WORDS | {"owner", "enforcement"}

SINGLE = frozenset(
    [
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    ]
)
LISTS = frozenset(["allOf", "anyOf", "oneOf", "prefixItems"])
NAMED = frozenset(["dependentSchemas", "patternProperties", "properties"])
_OTHERS = frozenset(
    [
        "$comment",
        "const",
        "contentEncoding",
        "contentMediaType",
        "default",
        "dependentRequired",
        "deprecated",
        "description",
        "enum",
        "examples",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "maxContains",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minContains",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "pattern",
        "readOnly",
        "required",
        "title",
        "type",
        "uniqueItems",
        "writeOnly",
    ]
)
KEYWORDS = SINGLE | LISTS | NAMED | _OTHERS
#: A reference can lead out of the plan, even to another server.
_REFERENCES = frozenset(
    [
        "$anchor",
        "$defs",
        "$dynamicAnchor",
        "$dynamicRef",
        "$id",
        "$ref",
        "$schema",
        "$vocabulary",
        "definitions",
        "contentSchema",
    ]
)
_USE_ANCHORS = "is not supported: write &name at the value, and *name where it is used again"

Place = tuple[str | int, ...]


def schema_of(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema in what the plan says about a property."""
    return {name: value for name, value in words.items() if name not in ATTRIBUTE_WORDS}


def keyword_problems(
    words: Mapping[str, Any], *, of_attribute: bool
) -> Iterator[tuple[Place, str]]:
    """Yield what is wrong with the words at a property, each with its place below it."""
    own = ATTRIBUTE_WORDS if of_attribute else PROPERTY_WORDS
    for name in words.keys() & (ATTRIBUTE_WORDS - own):
        yield (name,), "is for attributes; an event has it for all its properties"
    schema = schema_of(words)
    found = list(_unknown_keywords(schema, (), own))
    yield from found
    if not found:
        from .schema_validator import schema_problem

        if (problem := schema_problem(schema)) is not None:
            yield problem


def _unknown_keywords(
    schema: Any, place: Place, own: frozenset[str]
) -> Iterator[tuple[Place, str]]:
    if not isinstance(schema, dict):
        return  # a boolean; anything else is no JSON Schema, which is checked later
    for name in schema:
        if (problem := _keyword_problem(name, own)) is not None:
            yield (*place, name), problem
    for at, inner in _inner_schemas(schema):
        yield from _unknown_keywords(inner, (*place, *at), own)


def _keyword_problem(name: str, own: frozenset[str]) -> str | None:
    if name in KEYWORDS or name.startswith("x-"):
        return None
    if name in _REFERENCES:
        return _USE_ANCHORS
    if name in ATTRIBUTE_WORDS:
        return "is for whole properties and attributes, not for what is inside them"
    hint = did_you_mean(name, sorted(KEYWORDS | own))
    return "is not a word of JSON Schema or of the plan" + (f"; {hint}" if hint else "")


def _inner_schemas(schema: dict[str, Any]) -> Iterator[tuple[Place, Any]]:
    for name, value in schema.items():
        if name in SINGLE:
            yield (name,), value
        elif name in LISTS and isinstance(value, list):
            yield from (((name, index), each) for index, each in enumerate(value))
        elif name in NAMED and isinstance(value, dict):
            yield from (((name, key), each) for key, each in value.items())
