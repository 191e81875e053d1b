"""Names of object types: a setting names the numbers that the workspace gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trackrelay.suggestion import did_you_mean

from .name_checks import name_of
from .rejection import RefusalError

#: The setting that names object types.
SETTING = "TRACKRELAY_OBJECT_TYPES"

_object_types: Mapping[str, str] | Callable[[], Mapping[str, str]] = {}


def set_object_types(types: Mapping[str, str] | Callable[[], Mapping[str, str]]) -> None:
    """Set the names of object types in the whole process.

    Args:
        types: numbers by name, e.g. ``{"company": "1"}``, or a function that returns them when a
            name is met.
    """
    global _object_types
    _object_types = types


def object_type_id(value: object) -> str:
    """Return ``value``, a number or a name of an object type, as its number in text.

    Raises:
        RefusalError: it is neither a whole number from 1 nor a name that the setting knows.
    """
    text = name_of(value)
    if is_number(text):
        return text
    types = _object_types() if callable(_object_types) else _object_types
    if number := types.get(text.strip()):
        return number
    raise _unknown(text, types)


def is_number(text: str) -> bool:
    """Return whether ``text`` is a whole number from 1."""
    return text.isascii() and text.isdigit() and not text.startswith("0")


def _unknown(text: str, types: Mapping[str, str]) -> RefusalError:
    shown = repr(text[:40])
    if question := did_you_mean(text, types):
        hint = f"; {question}"
    elif types:
        hint = f"; it has {', '.join(sorted(types)[:20])}"
    else:
        hint = ", which is not set"
    return RefusalError(
        f"is {shown}; it must be a whole number from 1, such as '1', or a name in {SETTING}{hint}",
        limit=f"a whole number from 1, or a name in {SETTING}",
        actual=shown,
    )
