"""Fields that hold text, and fields that there are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from typing import Any

from ..values import JSON, json_object
from .refusal import Refusal, kind_of, wrong_type

#: What other APIs, and v1, call things.
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
    """A scalar as text: ``True`` is ``true``, 3 is ``3``."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise wrong_type(value, "text")


def one_of(choices: tuple[str, ...], value: object) -> str:
    """``value``, which must be one of ``choices``."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str) and value in choices:
        return str.__str__(value)
    raise not_one_of(choices, value)


def not_one_of(choices: tuple[str, ...], value: object) -> Refusal:
    """The refusal of a ``value`` that is none of ``choices``."""
    given = repr(str.__str__(value)[:40]) if type(value) is str else kind_of(value)
    known = ", ".join(choices)
    return Refusal(f"is {given}; Customer.io takes {known}{_did_you_mean(value, choices)}", limit=known, actual=given)


def refuse_unknown(names: Iterable[object], known: Collection[object]) -> None:
    """Refuse a name that is none of ``known``, suggesting the nearest."""
    for name in names:
        if name not in known:
            raise _not_known(name, tuple(map(str, known)))


def open_fields(given: Mapping[Any, Any], known: Collection[object]) -> dict[str, JSON]:
    """Return the fields of ``given`` that the published description leaves open.

    Raises:
        Refusal: a name looks like a slip for one of ``known``, or JSON cannot say a value.
    """
    choices = tuple(map(str, known))
    unknown = {name: value for name, value in given.items() if name not in known}
    for name in unknown:
        if not isinstance(name, str) or not name.strip() or _meant(name, choices):
            raise _not_known(name, choices)
    return json_object(unknown)


def _not_known(name: object, choices: tuple[str, ...]) -> Refusal:
    listed = ", ".join(choices)
    return Refusal(
        f"is not known{_meant(name, choices) or f'; there are {listed}'}",
        limit=listed,
        actual=str(name)[:100] or "blank",
        at=(str(name)[:100],),
    )


def _meant(name: object, choices: tuple[str, ...]) -> str:
    other = _OTHER_NAMES.get(str(name)[:100], "")
    if other.partition(".")[0] in choices:
        return f"; did you mean {other!r}?"
    return _did_you_mean(name, choices)


def _did_you_mean(given: object, known: tuple[str, ...]) -> str:
    from difflib import get_close_matches  # only to word an error

    found = get_close_matches(str(given).lower()[:100], known, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""
