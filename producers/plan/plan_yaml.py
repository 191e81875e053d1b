"""Read YAML as YAML 1.2 has it, with the line of everything.

PyYAML resolves words as YAML 1.1 did: ``off`` is a boolean there, and a name that occurs twice
counts once. So only its parser is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

Place = tuple[str | int, ...]

#: Levels of lists and mappings.
MAX_DEPTH = 40
#: Values, each use of an anchor with all that it stands for.
MAX_VALUES = 100_000

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = frozenset(["", "~", "null", "Null", "NULL"])
_BOOLEANS = {
    word: value
    for name, value in (("true", True), ("false", False))
    for word in (name, name.capitalize(), name.upper())
}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_TEXT_TAG = "tag:yaml.org,2002:str"
_MERGE = "<<"


class YamlError(ValueError):
    """The text is no YAML, or not what a plan can hold.

    Args:
        problem: what is wrong.
        line: where.
    """

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.line = line


class YamlDocument(NamedTuple):
    """A value, and the line of each place in it."""

    value: Any
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """Return the line of a place, or of the nearest place around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_yaml(text: str) -> YamlDocument:
    """Return the one document in ``text``.

    Raises:
        YamlError: it has none or several, repeats a name, or exceeds a limit.
    """
    reader = _Reader()
    try:
        reader.read(yaml.parse(text, Loader=_Parser))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "is not YAML"
        raise YamlError(str(problem)[:200], mark.line + 1 if mark else 1) from None
    except UnicodeError:
        raise YamlError("has a character that UTF-8 does not have", 1) from None
    return YamlDocument(reader.value, reader.lines)


class _Reader:
    """Builds values from the parser's events. It never recurses deeper than its limit."""

    def __init__(self) -> None:
        self.value: Any = None
        self.lines: dict[Place, int] = {}
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._size = 0

    def read(self, events: Iterator[Any]) -> None:
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise YamlError("has a second document", _line(event))
                self.value = self._value(next(events), events, ())
        if not documents:
            raise YamlError("is empty", 1)

    def _value(self, event: Any, events: Iterator[Any], place: Place) -> Any:
        line = _line(event)
        self.lines.setdefault(place, line)
        if len(place) > MAX_DEPTH:
            raise YamlError(f"is nested deeper than {MAX_DEPTH} levels", line)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise YamlError(f"there is no anchor &{event.anchor} before it", line)
            value, size = self._anchors[event.anchor]
            self._count(size, line)
            return value
        before = self._size
        self._count(1, line)
        if event.tag not in (None, "!", _TEXT_TAG):
            raise YamlError(f"the tag {event.tag[:60]} is not supported", line)
        made: Any
        if isinstance(event, yaml.ScalarEvent):
            is_plain = event.implicit[0] and event.tag is None
            made = _scalar(event.value) if is_plain else event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            made = self._list(events, place)
        else:
            made = self._mapping(events, place)
        if event.anchor:
            self._anchors[event.anchor] = (made, self._size - before)
        return made

    def _list(self, events: Iterator[Any], place: Place) -> list[Any]:
        made: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            made.append(self._value(event, events, (*place, len(made))))
        return made

    def _mapping(self, events: Iterator[Any], place: Place) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(key := next(events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise YamlError("a name must be text", _line(key))
            name = key.value
            if name in own:
                raise YamlError(f"{name[:100]!r} is there twice", _line(key))
            self.lines[(*place, name)] = _line(key)
            value = self._value(next(events), events, (*place, name))
            if name == _MERGE and key.implicit[0]:
                for each in value if isinstance(value, list) else [value]:
                    if not isinstance(each, dict):
                        raise YamlError("<< takes a mapping, or a list of them", _line(key))
                    merged = each | merged
            else:
                own[name] = value
        return merged | own

    def _count(self, values: int, line: int) -> None:
        self._size += values
        if self._size > MAX_VALUES:
            raise YamlError(f"has more than {MAX_VALUES:,} values", line)


def _scalar(text: str) -> Any:
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return text


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
