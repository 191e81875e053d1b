"""Python's types for JSON Schemas: what callers may pass so that the schema accepts it."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: A whole number in this format is a time in unix seconds; callers may pass an aware datetime.
UNIX_SECONDS = "unix-seconds"

_WORD = re.compile(r"[^\W\d_]+|[0-9]+")
_SIMPLE = {"string": "str", "integer": "int", "boolean": "bool", "null": "None"}
_NUMBER = "float | Decimal"


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a typed dictionary."""

    name: str
    type: str
    required: bool
    description: str = ""


@dataclass(frozen=True, slots=True)
class TypedDictionary:
    """A class for the data of an event, the attributes of something, or an object inside them."""

    name: str
    fields: tuple[Field, ...]
    description: str = ""


@dataclass(slots=True)
class PythonTypes:
    """Finds types for schemas, and collects the classes that they need.

    Attributes:
        classes: the classes, in an order in which each follows those that it uses.
    """

    names: UniqueNames
    classes: list[TypedDictionary] = field(default_factory=list)

    def dictionary(
        self, name: str, members: Iterable[tuple[str, Mapping[str, Any], bool]], description: str
    ) -> str:
        """Add a class for an object, and return its name.

        Args:
            name: what the class is about.
            members: name, schema and whether it is required, of each member.
            description: its docstring.
        """
        own = self.names.unique(class_name(name))
        fields = tuple(
            Field(each, self.type_of(schema, f"{own} {each}"), required, _text(schema))
            for each, schema, required in members
        )
        self.classes.append(TypedDictionary(own, fields, description))
        return own

    def type_of(self, schema: Any, name: str) -> str:
        """Return the type of what a schema accepts.

        Args:
            schema: the JSON Schema.
            name: what a class would be about, if the type needs one.
        """
        if not isinstance(schema, Mapping):
            return "Any"
        if (literal := _literal(schema)) is not None:
            return literal
        given = schema.get("type")
        types = [given] if isinstance(given, str) else list(given or ())
        if not types:
            return self._alternatives(schema, name)
        return union(self._one(each, schema, name) for each in types)

    def _alternatives(self, schema: Mapping[str, Any], name: str) -> str:
        alternatives = schema.get("anyOf") or schema.get("oneOf")
        if not isinstance(alternatives, list):
            return "Any"
        return union(self.type_of(each, name) for each in alternatives)

    def _one(self, type: str, schema: Mapping[str, Any], name: str) -> str:
        if type == "number":
            return _NUMBER
        if type == "integer" and schema.get("format") == UNIX_SECONDS:
            return "datetime | int"
        if type in _SIMPLE:
            return _SIMPLE[type]
        if type == "array":
            items = schema.get("items")
            return f"Sequence[{self.type_of(items, f'{name} item') if items else 'Any'}]"
        return self._object(schema, name)

    def _object(self, schema: Mapping[str, Any], name: str) -> str:
        properties = schema.get("properties")
        if isinstance(properties, Mapping) and properties:
            required = schema.get("required", ())
            members = ((each, words, each in required) for each, words in properties.items())
            return self.dictionary(name, members, _text(schema))
        others = schema.get("additionalProperties")
        return f"Mapping[str, {self.type_of(others, f'{name} value') if others else 'Any'}]"


class UniqueNames:
    """Gives each thing in a module a name of its own.

    Args:
        taken: names that the module has already.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = {*taken, *dir(builtins), *keyword.kwlist}

    def unique(self, wanted: str) -> str:
        """Return ``wanted``, or a name like it that is free."""
        name, number = wanted, 2
        while name in self._taken:
            name = f"{wanted}_{number}"
            number += 1
        self._taken.add(name)
        return name


def class_name(text: str) -> str:
    """Return a name for a class: ``order_completed item`` becomes ``OrderCompletedItem``."""
    words = _WORD.findall(_separated(text))
    return _no_digit("".join(word[:1].upper() + word[1:] for word in words)) or "Unnamed"


def function_name(text: str) -> str:
    """Return a name for a function: ``Order Completed`` becomes ``order_completed``."""
    return (
        _no_digit("_".join(word.lower() for word in _WORD.findall(_separated(text)))) or "unnamed"
    )


def union(types: Iterable[str]) -> str:
    """Return the union of types, None at the end."""
    parts = [part for each in types for part in _parts(each)]
    distinct = dict.fromkeys(parts)
    if "Any" in distinct:
        return "Any"
    last = ["None"] if "None" in distinct else []
    return " | ".join([*(each for each in distinct if each != "None"), *last])


def _parts(type: str) -> list[str]:
    """Return the members of a union. A bar inside brackets belongs to what is inside."""
    parts, depth, start = [], 0, 0
    for index, sign in enumerate(type):
        depth += (sign == "[") - (sign == "]")
        if sign == "|" and depth == 0:
            parts.append(type[start:index].strip())
            start = index + 1
    return [*parts, type[start:].strip()]


def _literal(schema: Mapping[str, Any]) -> str | None:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(values, list) or not values:
        return None
    if not all(each is None or isinstance(each, str | int) for each in values):
        return None
    literals = [repr(each) for each in values if each is not None]
    parts = [f"Literal[{', '.join(literals)}]"] if literals else []
    return " | ".join([*parts, *(["None"] if None in values else [])])


def _separated(text: str) -> str:
    """Put a blank before each capital inside a word: ``productId`` has two words."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)


def _no_digit(name: str) -> str:
    return f"_{name}" if name[:1].isdigit() else name


def _text(schema: Mapping[str, Any]) -> str:
    given = schema.get("description", "")
    return given if isinstance(given, str) else ""
