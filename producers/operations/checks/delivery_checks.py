"""Checks of deliveries: metrics, events and unsubscribes of a message."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from trackrelay.operations import limits
from trackrelay.operations.coercion import JSON, json_object
from trackrelay.operations.keys import key_of
from trackrelay.operations.scalars import number_of, timestamp

from .check_result import Checked, Document
from .lazy_values import resolved
from .name_checks import name_of, size, text_in
from .rejection import RefusalError, too_many_bytes, within
from .text_checks import one_of

#: Track API, delivery_operations.
_EVENTS = ("opened", "converted", "delivered")
#: Track API, metrics of v1: those of all channels.
_METRICS = (
    "bounced",
    "clicked",
    "converted",
    "deferred",
    "delivered",
    "dropped",
    "opened",
    "spammed",
)


def event(document: Document) -> Checked:
    """Check an event that a device reports for a message."""
    checked = _start(document)
    checked.name = within("name", one_of, _EVENTS, document["name"])
    checked.document["name"] = checked.name
    checked.document["attributes"] = within(
        "attributes", _with_device_token, document["attributes"]
    )
    return checked


def metric(document: Document) -> Checked:
    """Check a metric of a message."""
    checked = _start(document)
    clean = checked.document
    clean["name"] = checked.name = within("name", one_of, _METRICS, document["name"])
    if document.get("recipient") is not None:
        clean["recipient"] = within("recipient", _recipient, document["recipient"])
    for field in ("reason", "href"):
        if document.get(field) is not None:
            clean[field] = within(field, _text, document[field])
    if (when := document.get("timestamp")) is not None:
        clean["timestamp"] = within("timestamp", timestamp, when)
    else:
        checked.stamp = True
    return checked


def unsubscribe(document: Document) -> Checked:
    """Check that the recipient of a message unsubscribed."""
    return _start(document)


def identifier_of(identifiers: object, name: str) -> str:
    """Return the only identifier of a delivery or a form, whose field is ``name``."""
    identifiers = resolved(identifiers)
    if not isinstance(identifiers, (dict, Mapping)) or list(islice(identifiers, 2)) != [name]:
        raise RefusalError(f"must be {{{name!r}: …}}", limit=name, actual="something else")
    return within(name, name_of, identifiers[name], limits.TOKEN_BYTES)


def _start(document: Document) -> Checked:
    identifier = within("identifiers", identifier_of, document["identifiers"], "id")
    clean: dict[str, JSON] = {
        "type": "delivery",
        "identifiers": {"id": identifier},
        "action": str(document["action"]),
    }
    return Checked(clean, (key_of("delivery", identifier),))


def _with_device_token(given: object) -> dict[str, JSON]:
    attributes = json_object(given)
    attributes["device_token"] = within(
        "device_token", name_of, attributes.get("device_token"), limits.TOKEN_BYTES
    )
    return attributes


def _recipient(value: object) -> JSON:
    # Track API, metrics: the phone number of an SMS is an integer.
    value = resolved(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return number_of(int(value))
    return _text(value)


def _text(value: object) -> str:
    text = text_in(value, "text")
    if len(text) > limits.OPERATION_BYTES:
        # Before it is encoded, as no operation with it would fit.
        raise too_many_bytes(size(text), limits.OPERATION_BYTES)
    return text
