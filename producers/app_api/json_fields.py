"""Reading the fields of an untrusted JSON object: each has the expected type, or an error names it.

The published description contradicts itself in places: an id is text here and a number there. Both
are accepted. No message quotes a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from .app_api_errors import AppApiResponseError

#: The first second of the year 10,000, which no datetime can hold.
MAX_TIME = 253_402_300_800

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_KINDS = {dict: "an object", list: "a list", str: "text", bool: "a boolean"}


class Fields:
    """An object of a JSON document, and where in the document it is."""

    __slots__ = ("_document", "_path")

    def __init__(self, document: Any, path: str = "") -> None:
        if not isinstance(document, dict):
            raise _wrong(path or "the answer", document, "an object")
        self._document: dict[str, Any] = document
        self._path = path

    def has(self, name: str) -> bool:
        """Return whether the field is there, and not null."""
        return self._document.get(name) is not None

    def text(self, name: str) -> str | None:
        """Return a text, or a number as text; None if it is missing or null."""
        value = self._document.get(name)
        if value is None or type(value) is str:
            return value
        if type(value) is int:
            return str(value)
        raise _wrong(self._at(name), value, "text")

    def given_text(self, name: str) -> str:
        """Return a text that must be there."""
        value = self.text(name)
        if value is None:
            raise _wrong(self._at(name), None, "text")
        return value

    def integer(self, name: str) -> int | None:
        """Return a whole number, or one in a text; None if it is missing or null."""
        value = self._document.get(name)
        return None if value is None else self._integer(name, value)

    def given_integer(self, name: str) -> int:
        """Return a whole number that must be there."""
        return self._integer(name, self._document.get(name))

    def given_time(self, name: str) -> int:
        """Return a unix time that must be there, before the year 10,000."""
        value = self.given_integer(name)
        if not 0 <= value < MAX_TIME:
            raise AppApiResponseError(f"{self._at(name)} is not a unix time")
        return value

    def boolean(self, name: str, default: bool = False) -> bool:
        """Return a boolean, or one in a text; ``default`` if it is missing or null."""
        value = self._document.get(name)
        if value is None:
            return default
        if type(value) is bool:
            return value
        if value in ("true", "false"):
            return bool(value == "true")
        raise _wrong(self._at(name), value, "a boolean")

    def fields(self, name: str) -> Fields:
        """Return an object that must be there."""
        return Fields(self._document.get(name), self._at(name))

    def optional_fields(self, name: str) -> Fields | None:
        """Return an object; None if it is missing or null."""
        return self.fields(name) if self.has(name) else None

    def objects(self, name: str) -> Iterator[Fields]:
        """Yield the objects of a list; none if it is missing or null."""
        for number, each in enumerate(self._list(name)):
            yield Fields(each, f"{self._at(name)}[{number}]")

    def given_objects(self, name: str) -> Iterator[Fields]:
        """Yield the objects of a list that must be there; a null is an empty list."""
        if name not in self._document:
            raise _wrong(self._at(name), None, "a list")
        return self.objects(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of a list; none if it is missing or null."""
        values = self._list(name)
        for each in values:
            if type(each) is not str:
                raise _wrong(f"an entry of {self._at(name)}", each, "text")
        return tuple(values)

    def mapping(self, name: str) -> dict[str, Any]:
        """Return an object with values of any type; empty if it is missing or null."""
        return dict(Fields(self._document.get(name) or {}, self._at(name))._document)

    def text_mapping(self, name: str) -> dict[str, str]:
        """Return an object of texts, without nulls; numbers and booleans become JSON text."""
        found = {}
        for key, value in self.mapping(name).items():
            if type(value) is str:
                found[key] = value
            elif isinstance(value, bool | int | float):
                found[key] = msgspec.json.encode(value).decode()
            elif value is not None:
                raise _wrong(f"a value of {self._at(name)}", value, "text")
        return found

    def integer_mapping(self, name: str) -> dict[str, int]:
        """Return an object of whole numbers; what is null is left out."""
        values = self.mapping(name)
        return {
            key: self._integer(name, value) for key, value in values.items() if value is not None
        }

    def _integer(self, name: str, value: Any) -> int:
        if type(value) is int:
            return value
        if type(value) is str and _WHOLE.fullmatch(value):
            return int(value)
        raise _wrong(self._at(name), value, "a whole number")

    def _list(self, name: str) -> list[Any]:
        value = self._document.get(name)
        if value is None:
            return []
        if type(value) is not list:
            raise _wrong(self._at(name), value, "a list")
        return value

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def _wrong(what: str, value: Any, wanted: str) -> AppApiResponseError:
    is_what = "missing" if value is None else _KINDS.get(type(value), "a number")
    return AppApiResponseError(f"{what} is {is_what}, not {wanted}")
