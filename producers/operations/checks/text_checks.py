"""Checks of text, choices and names of fields."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from itertools import islice
from typing import Any

from trackrelay.operations import limits
from trackrelay.operations.coercion import JSON, Room, json_object
from trackrelay.suggestion import did_you_mean

from .lazy_values import resolved
from .rejection import RefusalError, brief, kind_of, wrong_type

#: Names that other APIs and v1 use.
_OTHER_NAMES = {
    "data": "attributes",
    "properties": "attributes",
    "traits": "attributes",
    "event": "name",
    "relationships": "cio_relationships",
    "id": "identifiers",
    "customer_id": "identifiers",
    "user_id": "identifiers",
    "anonymous_id": "attributes.anonymous_id",
    "_update": "attributes._update",
}


def text_of(value: JSON) -> str:
    """Return a scalar as text: ``True`` as ``true``, 3 as ``3``."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise wrong_type(value, "text")


def one_of(choices: tuple[str, ...], value: object) -> str:
    """Return ``value``, which must be one of ``choices``."""
    value = resolved(value)
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str) and (text := str.__str__(value)) in choices:
        return text
    raise not_one_of(choices, value)


def not_one_of(choices: tuple[str, ...], value: object) -> RefusalError:
    """Return the refusal of a value that is none of ``choices``."""
    text = str.__str__(value) if isinstance(value, str) else ""
    given = repr(value[:40]) if type(value) is str else kind_of(value)
    known = ", ".join(choices)
    return RefusalError(
        f"is {given}; Customer.io takes {known}{_did_you_mean(text or given, choices)}",
        limit=known,
        actual=given,
    )


def refuse_unknown(names: Iterable[object], known: Collection[object]) -> None:
    """Refuse a name that is none of ``known``, and suggest the nearest."""
    for name in names:
        if name not in known:
            raise _not_known(_text(name), tuple(map(str, known)))


def open_fields(
    given: Mapping[Any, Any], known: Collection[object], room: Room | None = None
) -> dict[str, JSON]:
    """Return the fields of ``given`` that the published description leaves open.

    Args:
        given: the whole object.
        known: the fields that are checked elsewhere.
        room: the room of the whole document, if this is a part of one.

    Raises:
        RefusalError: a name looks like a misspelling of a known one, or JSON cannot express a
            value.
    """
    choices = tuple(map(str, known))
    unknown = {
        name: value for name, value in islice(given.items(), limits.VALUES) if name not in known
    }
    for name in unknown:
        text = _text(name)
        if not isinstance(name, str) or not text.strip() or _meant(text, choices):
            raise _not_known(text, choices)
    return json_object(unknown, room=room)


def _text(name: object) -> str:
    return str.__str__(name) if isinstance(name, str) else brief(name)


def _not_known(name: str, choices: tuple[str, ...]) -> RefusalError:
    listed = ", ".join(choices)
    return RefusalError(
        f"is not known{_meant(name, choices) or f'; there are {listed}'}",
        limit=listed,
        actual=name[:100] or "blank",
        at=(name,),
    )


def _meant(name: str, choices: tuple[str, ...]) -> str:
    other = _OTHER_NAMES.get(name, "")
    if other.partition(".")[0] in choices:
        return f"; did you mean {other!r}?"
    return _did_you_mean(name, choices)


def _did_you_mean(given: str, known: tuple[str, ...]) -> str:
    question = did_you_mean(given, known)
    return f"; {question}" if question else ""
