"""A compiled JSON Schema, which says what is wrong by names and types, never by values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from trackrelay.suggestion import did_you_mean

#: Faults of one instance that are reported.
MAX_FAULTS = 50
#: Values of an enum that a message lists.
MAX_LISTED = 8
_NUMBER_TEXT = re.compile(r"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*")

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a value.

    Attributes:
        at: where it is.
        keyword: the keyword of JSON Schema that it violates.
        expected: what the schema allows, in words.
        actual: what is there: a type.
        types: the types that the schema allows, if the type is wrong.
        hint: a question that may help, for a name that is not known.
    """

    at: Place
    keyword: str
    expected: str
    actual: str
    types: tuple[str, ...] = ()
    hint: str = ""

    @property
    def sentence(self) -> str:
        """The end of a sentence about the place."""
        if self.keyword == "required":
            return "is missing"
        if self.keyword == "additionalProperties":
            return f"is not a word of the plan{self.hint and '; '}{self.hint}"
        return f"must be {self.expected}; it is {self.actual}"


class SchemaValidator:
    """A JSON Schema of draft 2020-12, compiled.

    Raises:
        ValueError: it is no JSON Schema.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        validator = _compiled(schema)
        #: Whether a value fits.
        self.is_valid: Callable[[Any], bool] = validator.is_valid
        self._errors: Callable[[Any], Iterator[Any]] = validator.iter_errors

    def faults(self, instance: Any) -> list[Fault]:
        """Return what is wrong with a value, in the order of the schema."""
        found: list[Fault] = []
        for error in self._errors(instance):
            found += _faults(error, self._schema)
            if len(found) >= MAX_FAULTS:
                break
        return found[:MAX_FAULTS]


def _compiled(schema: Mapping[str, Any]) -> Any:
    # This engine takes linear time, whatever the pattern and the text. It has no look-around.
    patterns = jsonschema_rs.RegexOptions(size_limit=1_000_000)
    return jsonschema_rs.Draft202012Validator(
        dict(schema), validate_formats=True, pattern_options=patterns
    )


def schema_problem(schema: Mapping[str, Any]) -> tuple[Place, str] | None:
    """Return what is wrong with a JSON Schema and where, or None."""
    try:
        _compiled(schema)
    except jsonschema_rs.ValidationError as error:
        fault = next(_faults(error, {}), None)
        if fault is not None and fault.at:
            if fault.at[-1] == "type":
                types = ", ".join(dict.fromkeys(_TYPES.values()))
                return fault.at, f"must be one of {types}, or a list of them"
            return fault.at, f"is no JSON Schema here: it {fault.sentence}"
        return tuple(error.instance_path), f"is no JSON Schema: {error.message[:200]}"
    except (ValueError, TypeError) as error:
        return (), f"is no JSON Schema: {str(error)[:200]}"
    return None


def type_of(value: object) -> str:
    """Return the JSON Schema type of a value."""
    return _TYPES.get(type(value), "value")


def described_type(value: object, expected: tuple[str, ...] = ()) -> str:
    """Return the type of a value; for text where a number or a boolean belongs, also its look."""
    if isinstance(value, str):
        if _NUMBERS.intersection(expected) and _NUMBER_TEXT.fullmatch(value[:100]):
            return "string that holds a number"
        if "boolean" in expected and value.strip().lower() in ("true", "false"):
            return "string that holds a boolean"
    return type_of(value)


_NUMBERS = frozenset(["number", "integer"])
_TYPES: Mapping[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
    list: "array",
    dict: "object",
}


def _faults(error: Any, schema: Mapping[str, Any]) -> Iterator[Fault]:
    at, kind = tuple(error.instance_path), error.kind
    keyword = kind.name
    if keyword == "required":
        yield Fault((*at, kind.property), keyword, "a value", "missing")
    elif keyword in ("additionalProperties", "unevaluatedProperties"):
        known = _known_names(error, schema)
        for name in kind.unexpected:
            hint = did_you_mean(name, known)
            yield Fault((*at, name), "additionalProperties", "no such name", "a name", hint=hint)
    elif keyword == "type" or (types := _types_of_alternatives(error)):
        types = tuple(kind.types) if keyword == "type" else types
        actual = described_type(error.instance, types)
        yield Fault(at, "type", " or ".join(types), actual, types)
    else:
        yield Fault(at, keyword, _expected(keyword, kind), f"another {type_of(error.instance)}")


def _types_of_alternatives(error: Any) -> tuple[str, ...]:
    """Return the types that ``anyOf`` or ``oneOf`` allows, if the value has none of them."""
    found: list[str] = []
    for alternative in getattr(error.kind, "context", None) or ():
        for each in alternative:
            if each.kind.name != "type" or each.instance_path != error.instance_path:
                return ()
            found += each.kind.types
    return tuple(dict.fromkeys(found))


def _known_names(error: Any, schema: Mapping[str, Any]) -> list[str]:
    """Return the names that the schema has where an unknown one was found."""
    found: Any = schema
    for step in error.schema_path[:-1]:
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError):
            return []
    names = found.get("properties") if isinstance(found, Mapping) else None
    return list(names) if isinstance(names, Mapping) else []


_WORDS = {
    "minimum": "at least {limit}",
    "maximum": "at most {limit}",
    "exclusiveMinimum": "more than {limit}",
    "exclusiveMaximum": "less than {limit}",
    "minLength": "at least {limit} characters",
    "maxLength": "at most {limit} characters",
    "minItems": "at least {limit} items",
    "maxItems": "at most {limit} items",
    "minProperties": "at least {limit} names",
    "maxProperties": "at most {limit} names",
    "multipleOf": "a multiple of {multiple_of}",
    "pattern": "text that matches {pattern}",
    "format": "a text in the format {format}",
    "uniqueItems": "items that differ",
    "const": "{expected_value!r}",
    "anyOf": "one of several forms",
    "oneOf": "exactly one of several forms",
    "not": "something else",
    "contains": "a list with a certain item",
    "propertyNames": "other names",
}


def _expected(keyword: str, kind: Any) -> str:
    if keyword == "enum":
        listed = ", ".join(map(_shown, kind.options[:MAX_LISTED]))
        more = len(kind.options) - MAX_LISTED
        return f"one of {listed}" + (f" and {more} more" if more > 0 else "")
    words = _WORDS.get(keyword)
    if words is None:
        return f"what {keyword} allows"
    return words.format_map(_Attributes(kind))[:200]


def _shown(value: Any) -> str:
    return value[:60] if isinstance(value, str) else repr(value)[:60]


class _Attributes(dict[str, Any]):
    """The attributes of an object, as a mapping that :meth:`str.format_map` reads."""

    def __init__(self, of: Any) -> None:
        super().__init__()
        self._of = of

    def __missing__(self, name: str) -> Any:
        return getattr(self._of, name, "")
