"""Checks of the devices of a person, for push messages."""

from __future__ import annotations

from collections.abc import Mapping

from trackrelay.operations import limits
from trackrelay.operations.coercion import JSON, json_object, mapping_of
from trackrelay.operations.keys import key_of
from trackrelay.operations.scalars import timestamp

from .check_result import Checked, Document
from .identifier_checks import of_person
from .name_checks import name_of
from .rejection import RefusalError, within
from .text_checks import one_of, open_fields, text_of

_FIELDS = ("token", "platform", "last_used", "attributes")


def add(document: Document) -> Checked:
    """Check a new or changed device."""
    return _checked(document, within("device", _device, document["device"]))


def delete(document: Document) -> Checked:
    """Check the removal of a device."""
    return _checked(document, within("device", _token_only, document["device"]))


def _checked(document: Document, device: JSON) -> Checked:
    kind, value = within("identifiers", of_person, document["identifiers"])
    clean: dict[str, JSON] = {
        "type": "person",
        "identifiers": {kind: value},
        "action": str(document["action"]),
        "device": device,
    }
    return Checked(clean, (key_of(kind, value),))


def _device(given: object) -> JSON:
    given = mapping_of(given, "an object with a token")
    clean = _start(given)
    clean["platform"] = within("platform", one_of, ("ios", "android"), given.get("platform"))
    if given.get("last_used") is not None:
        clean["last_used"] = within("last_used", timestamp, given["last_used"])
    if given.get("attributes") is not None:
        clean["attributes"] = within("attributes", _attributes, given["attributes"])
    return _with_open_fields(clean, given, _FIELDS)


def _token_only(given: object) -> JSON:
    given = mapping_of(given, "an object with a token")
    return _with_open_fields(_start(given), given, ("token",))


def _with_open_fields(
    clean: dict[str, JSON], given: Mapping[object, object], fields: tuple[str, ...]
) -> dict[str, JSON]:
    return clean if given.keys() <= set(fields) else clean | open_fields(given, fields)


def _start(given: Mapping[object, object]) -> dict[str, JSON]:
    return {"token": within("token", name_of, given.get("token"), limits.TOKEN_BYTES)}


def _attributes(given: object) -> dict[str, JSON]:
    return {
        name: within(name, _attribute, name, value) for name, value in json_object(given).items()
    }


def _attribute(name: str, value: JSON) -> str:
    # Track API, device_object_common: all text, true and false included.
    if name == "_last_status":
        raise RefusalError("is Customer.io's to write", limit="not given", actual="given")
    text = text_of(value)
    return one_of(("true", "false"), text) if name == "push_enabled" else text
