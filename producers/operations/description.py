"""A refused call as JSON of bounded size.

A description stands in the place of each value that JSON cannot express.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date, datetime
from enum import Enum
from math import isfinite
from typing import Any
from uuid import UUID

import msgspec

from . import limits
from .checks.lazy_values import resolved
from .checks.rejection import RefusalError, kind_of
from .coercion import NOT_ENCODED, scalar
from .unacceptable import Unacceptable

#: Characters that are kept of a described value, such as a long text or number.
MAX_SHOWN = 200
#: Characters of a name in a document.
MAX_NAME = 500
#: Larger integers are not written out, because that takes long.
MAX_BITS = 4_096


def described(value: object, max_bytes: int) -> bytes:
    """Return ``value`` as JSON of at most about ``max_bytes``.

    An object with the name :data:`~trackrelay.operations.coercion.NOT_ENCODED` stands for a value
    that JSON cannot express, that was refused, or that has no room. The checks refuse such an
    object.
    """
    return msgspec.json.encode(_Describer(max_bytes).describe(value, 1))


class _Describer:
    def __init__(self, max_bytes: int) -> None:
        self._room = max_bytes

    def describe(self, value: object, depth: int) -> object:
        self._room -= 2
        if value is None or value is True or value is False:
            return value
        try:
            return self._of_class(value, depth)
        except Exception as error:  # the code of the caller's class can raise anything
            return self._mark(f"{_kind(value)} that cannot be read: {type(error).__name__}")

    def _of_class(self, value: Any, depth: int) -> object:
        if isinstance(value, Unacceptable):
            return self._mark(
                _short(str(value.error.args[0])), value=self.describe(value.given, depth + 1)
            )
        if depth > limits.DEPTH + 2:
            return self._mark("nested too deep, or contains itself")
        if (real := resolved(value)) is not value:
            return self.describe(real, depth + 1)
        if isinstance(value, Enum):
            return self.describe(value.value, depth + 1)
        if isinstance(value, str | int | float | bytes | bytearray | memoryview):
            return self._basic(value)
        if isinstance(value, Mapping):
            return self._object(value, depth)
        if isinstance(value, Sequence | Set):
            return self._array(value, depth)
        return self._scalar(value)

    def _basic(self, value: str | int | float | bytes | bytearray | memoryview) -> object:
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if isinstance(value, int):
            return self._integer(int(value))
        if isinstance(value, float):
            return float(value) if isfinite(value) else self._mark(f"the number {float(value)}")
        return self._mark(f"{len(value):,} bytes")

    def _scalar(self, value: Any) -> object:
        try:
            return scalar(value)
        except RefusalError as refusal:
            shown = {"text": _short(value.isoformat())} if isinstance(value, date) else {}
            what = (
                "a naive datetime"
                if isinstance(value, datetime) and value.tzinfo is None
                else _kind(value)
            )
            return self._mark(f"{what}: {_short(refusal.problem)}", **shown)

    def _mark(self, what: str, **more: object) -> dict[str, object]:
        mark = {NOT_ENCODED: what, **more}
        self._room -= len(msgspec.json.encode(mark))
        return mark

    def _text(self, text: str) -> object:
        try:
            size = len(text) if len(text) > self._room else len(msgspec.json.encode(text))
        except UnicodeEncodeError:
            return self._mark("text with half a surrogate pair in it", text=_short(text))
        if size > self._room:
            return self._mark(
                f"text of {len(text):,} characters, too many to be kept", text=_short(text)
            )
        self._room -= size
        return text

    def _integer(self, number: int) -> object:
        if limits.INTEGER_MIN <= number <= limits.INTEGER_MAX:
            self._room -= 20
            return number
        text = {} if number.bit_length() > MAX_BITS else {"text": _short(str(number))}
        return self._mark(f"an integer of {number.bit_length():,} bits", **text)

    def _object(self, mapping: Mapping[Any, Any], depth: int) -> object:
        clean: dict[str, object] = {}
        for key, value in mapping.items():
            if self._room <= 0:
                clean[NOT_ENCODED] = "more names, for which there is no room"
                break
            name = self._name(key)
            while name in clean:
                name += "*"
            clean[name] = self.describe(value, depth + 1)
        return clean

    def _name(self, key: object) -> str:
        if isinstance(key, str):
            name = str.__str__(key)
        elif isinstance(key, UUID) or (isinstance(key, int) and key.bit_length() <= MAX_BITS):
            name = str(key)
        else:
            name = f"<{_kind(key)}>"
        name = name[:MAX_NAME].encode(errors="replace").decode()
        self._room -= len(msgspec.json.encode(name))
        return name

    def _array(self, items: Iterable[Any], depth: int) -> object:
        clean: list[object] = []
        # No more than there is room for: the caller may pass range(10**30).
        for item in itertools.islice(items, max(1, self._room)):
            if self._room <= 0:
                clean.append(self._mark("more values, for which there is no room"))
                break
            clean.append(self.describe(item, depth + 1))
        return clean


def _kind(value: object) -> str:
    try:
        return _short(kind_of(value))
    except Exception:  # a class without a name
        return "a value"


def _short(text: str) -> str:
    return text[:MAX_SHOWN].encode(errors="replace").decode()
