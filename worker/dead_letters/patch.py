"""Repair a dead letter's document before its replay: set or remove fields, or replace it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from trackrelay.operations.json_values import NotJsonError, decode_json

#: Steps into a document: names of fields, and indexes of lists.
Path = tuple[str | int, ...]

_STEP = re.compile(r'\.?(?P<name>[^.\[\]"]+)|\[(?P<index>\d+)\]|\.?(?P<quoted>"(?:[^"\\]|\\.)*")')
_MISSING: Any = object()


class PatchError(Exception):
    """The repair cannot be parsed, or does not fit the document."""


def parse_path(text: str) -> Path:
    """Parse ``attributes.plan`` or ``items[0].price``. A name with a dot is quoted: ``"a.b"``.

    Raises:
        PatchError: ``text`` is not a path.
    """
    steps: list[str | int] = []
    end = 0
    while end < len(text):
        match = _STEP.match(text, end)
        if match is None or (match[0].startswith(".") and not steps):
            raise PatchError(
                f'{text!r} is not a path; write attributes.plan, items[0].price or attributes."a.b"'
            )
        name, index, quoted = match.group("name", "index", "quoted")
        steps.append(int(index) if index else _unquoted(quoted, text) if quoted else name)
        end = match.end()
    if not steps:
        raise PatchError("a path names at least one field, such as attributes.plan")
    return tuple(steps)


def _unquoted(quoted: str, text: str) -> str:
    try:
        return str(decode_json(quoted))
    except NotJsonError:
        raise PatchError(f"{text!r}: {quoted} is not a JSON string") from None


def format_path(path: Path) -> str:
    """Return ``path`` as :func:`parse_path` reads it."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = step if re.fullmatch(r'[^.\[\]"]+', step) else msgspec.json.encode(step).decode()
            text += f".{name}" if text else name
    return text


@dataclass(frozen=True, slots=True)
class Patch:
    """Changes of a document. An empty patch changes nothing."""

    #: Each path that is set, and its value.
    sets: tuple[tuple[Path, Any], ...] = ()
    unsets: tuple[Path, ...] = ()
    #: A document that replaces the whole one.
    document: dict[str, Any] | None = None

    def __bool__(self) -> bool:
        return bool(self.sets or self.unsets or self.document is not None)

    @classmethod
    def parse(cls, sets: tuple[str, ...] = (), unsets: tuple[str, ...] = ()) -> Patch:
        """Parse ``PATH=VALUE`` and ``PATH``. A value that is not JSON is text.

        Raises:
            PatchError: one of them is not of this form.
        """
        return cls(
            tuple(_assignment(each) for each in sets), tuple(parse_path(each) for each in unsets)
        )

    def apply(self, before: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the repaired document. ``before`` is not changed.

        Raises:
            PatchError: there is no document, or it has no such path.
        """
        if self.document is not None:
            return self.document
        if before is None:
            raise PatchError(
                "it could not be decoded, so there is no document to change; supply one with --edit"
            )
        after = msgspec.json.decode(msgspec.json.encode(before))
        for path, value in self.sets:
            _set(after, path, value)
        for path in self.unsets:
            _unset(after, path)
        return dict(after)


def _assignment(text: str) -> tuple[Path, Any]:
    path, separator, value = text.partition("=")
    if not separator:
        raise PatchError(f"{text!r} has no value; write {text}=VALUE")
    try:
        return parse_path(path.strip()), decode_json(value)
    except NotJsonError:
        return parse_path(path.strip()), value


def _set(document: Any, path: Path, value: Any) -> None:
    holder, last = _holder(document, path, make=True), path[-1]
    if isinstance(holder, list) and isinstance(last, int) and last >= len(holder):
        if last > len(holder):
            raise PatchError(f"{format_path(path)}: the list has {len(holder)} values")
        holder.append(value)
    else:
        holder[last] = value


def _unset(document: Any, path: Path) -> None:
    holder, last = _holder(document, path, make=False), path[-1]
    if isinstance(holder, dict):
        holder.pop(last, None)
    elif isinstance(holder, list) and isinstance(last, int) and last < len(holder):
        del holder[last]


def _holder(document: Any, path: Path, *, make: bool) -> Any:
    # Return the object or list that holds the last step, or None if it is missing and not made.
    current = document
    for index, step in enumerate(path[:-1], 1):
        current = _inside(current, step, path[:index], make=make)
        if current is _MISSING:
            return None
    expected = list if isinstance(path[-1], int) else dict
    if not isinstance(current, expected):
        raise PatchError(
            f"{format_path(path[:-1])} is {_kind(current)}, and cannot contain {path[-1]!r}"
        )
    return current


def _inside(current: Any, step: str | int, path: Path, *, make: bool) -> Any:
    if isinstance(current, dict) and isinstance(step, str):
        return current.setdefault(step, {}) if make else current.get(step, _MISSING)
    if isinstance(current, list) and isinstance(step, int) and step < len(current):
        return current[step]
    raise PatchError(f"{format_path(path)} does not exist")


def _kind(value: Any) -> str:
    return {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "true or false",
        type(None): "null",
    }.get(type(value), "a number")


def changes(before: Any, after: Any, path: Path = ()) -> Iterator[dict[str, Any]]:
    """Yield each difference as ``{"path", "before", "after"}``, for a letter's history.

    A value that was added has no ``before``, one that was removed has no ``after``.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys((*before, *after)):
            yield from changes(before.get(name, _MISSING), after.get(name, _MISSING), (*path, name))
    elif type(before) is not type(after) or before != after:
        values = {"before": before, "after": after}
        yield {"path": format_path(path)} | {
            name: value for name, value in values.items() if value is not _MISSING
        }
