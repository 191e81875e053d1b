"""The beginning of an error: which part of whose operation is wrong."""

from __future__ import annotations

from collections.abc import Mapping

from trackrelay.operations.keys import key_of, object_key, shown
from trackrelay.operations.operation import EVENT_ACTIONS

from .identifier_checks import ANYBODY, of_object, of_person
from .rejection import RefusalError, written

#: Fields that name the person or the object.
WHOSE = ("identifiers", "person")
_SIMPLE = (
    "action",
    "cio_relationships",
    "device",
    "id",
    "idempotency_key",
    "name",
    "timestamp",
    "type",
)


def beginning(document: object, path: tuple[str | int, ...]) -> str:
    """Return the beginning of the sentence about ``path``, e.g.

    ``attribute 'bio' of person id:42``.
    """
    if not isinstance(document, (dict, Mapping)):
        return "an operation"
    type, action = _word(document.get("type")), _word(document.get("action"))
    whose = _whose(document, type, action)
    if len(path) == 1 and path[0] in WHOSE:
        return whose
    if not path:
        return whose if action in EVENT_ACTIONS else f"the {action} of {whose}"
    return f"{_part(path, type, action)} of {whose}"


def _word(value: object) -> str:
    # An invalid action can be of any type and length.
    return str.__str__(value) if isinstance(value, str) and len(value) <= 40 else "operation"


def _part(path: tuple[str | int, ...], type: object, action: object) -> str:
    first, rest = path[0], path[1:]
    if first == "attributes":
        one, all = "attribute", "the attributes"
        if type in ("person", "anonymous") and action in EVENT_ACTIONS:
            one, all = "data", "the data"
        elif type == "form":
            one, all = "field", "the fields"
        return f"{one} {_short(written(rest))}" if rest else all
    if first in WHOSE:
        return f"the {rest[0]}"
    if first in ("primary", "secondary"):
        return f"the {first}'s {rest[0]}" if rest else f"the {first}"
    return f"the {first}" if not rest and first in _SIMPLE else _short(written(path))


def _whose(document: Mapping[object, object], type: object, action: object) -> str:
    if type in ("person", "anonymous") and action in EVENT_ACTIONS:
        name = document.get("name")
        shown_name = f" {_short(name.strip())}" if isinstance(name, str) and name.strip() else ""
        return f"{action}{shown_name} of {_person(document.get('identifiers'), type)}"
    if type == "person" and action == "merge":
        return f"{_person(document.get('primary'))} and {_person(document.get('secondary'))}"
    if type == "person":
        return _person(document.get("identifiers"))
    if type == "object":
        return _object(document.get("identifiers"))
    if type in ("segment", "form"):
        return f"{type} {action} of {_person(document.get('person'))}"
    return f"a delivery's {action}" if type == "delivery" else "an operation"


def _person(identifiers: object, type: object = "person") -> str:
    noun = "anonymous person" if type == "anonymous" else "person"
    try:
        return f"{noun} {shown(key_of(*of_person(identifiers, ANYBODY)))}"
    except RefusalError:
        return f"an {noun}" if type == "anonymous" else f"a {noun}"


def _object(identifiers: object) -> str:
    try:
        return shown(object_key(of_object(identifiers))).replace("object:", "object ", 1)
    except RefusalError:
        return "an object"


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
