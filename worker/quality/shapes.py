"""The shape of a job's data: names and types, never a value. Pure.

A shape is a flat tuple of a path and a type after another, so that jobs of the same shape are
counted by one look-up. Paths go three levels deep; ``[]`` stands for the items of a list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

#: Levels of a document that are observed. What is deeper counts as an object.
MAX_DEPTH = 3
#: Items of one list that are looked at.
MAX_ITEMS = 20
#: Characters of a path. A longer one is cut, so that nobody can fill the catalog's index.
MAX_PATH = 200
#: Paths of one job.
MAX_PATHS = 400

Shape = tuple[str, ...]


class ValueType(StrEnum):
    """The type of a value, or what a string or a number looks like."""

    STRING = "string"
    EMPTY = "empty string"
    NUMBER_TEXT = "number in a string"
    BOOLEAN_TEXT = "boolean in a string"
    DATE_TEXT = "date in a string"
    UNIX_TEXT = "unix time in a string"
    INTEGER = "integer"
    UNIX_S = "unix seconds"
    UNIX_MS = "unix milliseconds"
    NUMBER = "number"
    BOOLEAN = "boolean"
    NULL = "null"
    LIST = "list"
    OBJECT = "object"


#: Whole numbers from September 2001 to May 2033 can be times in seconds, or in milliseconds.
_UNIX_FROM, _UNIX_TO = 1_000_000_000, 2_000_000_000
_NUMBER = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?")
_BOOLEANS = frozenset(["true", "false"])
_FIRST_OF_NUMBER = frozenset("0123456789+-.")
_FIRST_OF_BOOLEAN = frozenset("tTfF")


def text_type(text: str) -> str:
    """Return what a string looks like."""
    if not text:
        return ValueType.EMPTY
    first = text[0]
    if first in _FIRST_OF_NUMBER:
        if len(text) <= 40:
            return _number_text_type(text)
    elif first in _FIRST_OF_BOOLEAN and len(text) <= 5 and text.lower() in _BOOLEANS:
        return ValueType.BOOLEAN_TEXT
    return ValueType.STRING


def _number_text_type(text: str) -> str:
    if _DATE.fullmatch(text):
        return ValueType.DATE_TEXT
    # A leading zero or a plus is an article number or a phone, not a number that lost its type.
    if text[0] == "+" or (text[0] == "0" and text[1:2].isdigit()) or not _NUMBER.fullmatch(text):
        return ValueType.STRING
    if text.isdigit() and integer_type(int(text)) != ValueType.INTEGER:
        return ValueType.UNIX_TEXT
    return ValueType.NUMBER_TEXT


def integer_type(number: int) -> str:
    """Return whether a whole number can be a time."""
    if number < _UNIX_FROM:
        return ValueType.INTEGER
    if number < _UNIX_TO:
        return ValueType.UNIX_S
    if _UNIX_FROM * 1000 <= number < _UNIX_TO * 1000:
        return ValueType.UNIX_MS
    return ValueType.INTEGER


_TYPE: dict[type, Callable[[Any], str]] = {
    str: text_type,
    int: integer_type,
    float: lambda _: ValueType.NUMBER,
    bool: lambda _: ValueType.BOOLEAN,
    type(None): lambda _: ValueType.NULL,
}


def shape_of(attributes: Mapping[str, Any]) -> Shape:
    """Return the paths and types of a job's attributes, in the order of the document."""
    parts: list[str] = []
    _walk(attributes, "", 1, parts)
    return tuple(parts)


def _walk(document: Mapping[str, Any], prefix: str, depth: int, parts: list[str]) -> None:
    for name, value in document.items():
        if len(parts) >= 2 * MAX_PATHS:
            return
        path = f"{prefix}{name}"[:MAX_PATH] if prefix or len(name) > MAX_PATH else name
        of_type = _TYPE.get(type(value))
        if of_type is not None:
            parts.append(path)
            parts.append(of_type(value))
        else:
            _walk_nested(value, path, depth, parts)


def _walk_nested(value: Any, path: str, depth: int, parts: list[str]) -> None:
    if isinstance(value, dict):
        parts += (path, ValueType.OBJECT)
        if depth < MAX_DEPTH:
            _walk(value, f"{path}.", depth + 1, parts)
        return
    parts += (path, ValueType.LIST)
    inner: dict[tuple[str, str], None] = {}
    for item in value[:MAX_ITEMS]:
        of_item: list[str] = []
        if isinstance(item, dict) and depth < MAX_DEPTH:
            _walk(item, f"{path}[].", depth + 1, of_item)
            inner[f"{path}[]", ValueType.OBJECT] = None
        else:
            of_type = _TYPE.get(type(item))
            kind = ValueType.LIST if isinstance(item, list) else ValueType.OBJECT
            of_item += (f"{path}[]", kind if of_type is None else of_type(item))
        inner.update(dict.fromkeys(zip(of_item[::2], of_item[1::2], strict=True)))
    for pair in inner:
        parts += pair


def pairs(shape: Shape) -> list[tuple[str, str]]:
    """Return the paths of a shape, each with its type."""
    return list(zip(shape[::2], shape[1::2], strict=True))
