"""What an operation says, in a form in which what was enqueued and what arrived can be compared. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from trackrelay.sandbox.client import Effect

#: What one operation says; two that say the same have the same.
Fingerprint = tuple[str, ...]

_ANONYMOUS = {"anonymous": "person"}
_SEGMENT = {"add": "add_customers", "remove": "remove_customers"}
_CONTENT = ("attributes", "device", "cio_relationships")


def of_document(document: Mapping[str, Any], keys: tuple[str, ...]) -> Fingerprint:
    """Of an operation as it was enqueued."""
    type, action = str(document["type"]), str(document["action"])
    identifiers = document.get("identifiers", {})
    match type:
        case "segment":
            return (type, _SEGMENT[action], str(identifiers["segment_id"]), *keys)
        case "form":
            content = {**document.get("attributes", {}), **document["person"]}
            return (
                type,
                action,
                str(identifiers["form_id"]),
                *keys,
                _text({"attributes": content}),
            )
        case "delivery":
            return (type, action, str(document.get("name", "")), *keys)
    said = {name: document[name] for name in ("name", "id", *_CONTENT) if document.get(name)}
    return (_ANONYMOUS.get(type, type), action, *keys, _text(said))


def of_effect(effect: Effect) -> Iterator[Fingerprint]:
    """Of what arrived: a fingerprint for each operation that the request carried for the sandbox to see as one."""
    type, action, name, keys = (
        effect["type"],
        effect["action"],
        effect["name"] or "",
        effect["keys"],
    )
    match type:
        case "segment":
            yield from ((type, action, name, key) for key in keys)
        case "form":
            yield (type, action, name, *keys, _text({"attributes": effect["attributes"]}))
        case "delivery":
            yield (type, action, name, *keys)
        case _:
            said = {
                name: value for name in ("name", "id", *_CONTENT) if (value := effect.get(name))
            }
            yield (type, action, *keys, _text(said))


def _text(said: Mapping[str, Any]) -> str:
    return json.dumps(said, sort_keys=True, separators=(",", ":"))
