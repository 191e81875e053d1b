"""Checks of events, page views and screen views."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trackrelay.operations import limits
from trackrelay.operations.coercion import JSON, json_object
from trackrelay.operations.keys import key_of
from trackrelay.operations.scalars import timestamp

from .check_result import Checked, Document
from .identifier_checks import ANONYMOUS, KNOWN, of_person
from .name_checks import email_address, refuse_controls, size, text_in
from .rejection import RefusalError, too_many_bytes, within, wrong_type

_SHORT_NAME = limits.EVENT_NAME_BYTES // 4


def of_known(document: Document) -> Checked:
    """Check an event of a person with an identifier that Customer.io knows, or learns from it."""
    return _event(document, KNOWN)


def of_anonymous(document: Document) -> Checked:
    """Check an event of an anonymous id. Without one it is an invite to the address in its data."""
    if document["identifiers"]:
        return _event(document, ANONYMOUS)
    checked = _event(document, None)
    recipient = within("attributes", _recipient, checked.document.get("attributes"))
    # Invites have no key that would distinguish two with the same idempotency key.
    checked.name = f"{checked.name}\0{recipient.lower()}"
    return checked


def _event(document: Document, named_by: frozenset[str] | None) -> Checked:
    name = within("name", event_name, document["name"])
    clean: dict[str, JSON] = {
        "type": str(document["type"]),
        "identifiers": {},
        "action": str(document["action"]),
    }
    checked = Checked(clean, (), name)
    if named_by is not None:
        kind, value = within("identifiers", of_person, document["identifiers"], named_by)
        clean["identifiers"] = {kind: value}
        checked.keys = (key_of(kind, value),)
    clean["name"] = name
    if (when := document.get("timestamp")) is not None:
        clean["timestamp"] = within("timestamp", timestamp, when)
    else:
        checked.stamp = True
    given = document.get("attributes")
    if given is not None and (data := within("attributes", _data, given, document["action"])):
        clean["attributes"] = data
    return checked


def event_name(value: object) -> str:
    """Return the name of an event, trimmed as Customer.io trims it for campaigns."""
    name = (value if type(value) is str else text_in(value, "text")).strip()
    if not name:
        raise RefusalError("is blank", limit="not blank", actual="blank")
    if len(name) > _SHORT_NAME and size(name) > limits.EVENT_NAME_BYTES:
        raise too_many_bytes(size(name), limits.EVENT_NAME_BYTES)
    return refuse_controls(name)


def _data(given: object, action: str) -> dict[str, JSON]:
    data, checks = json_object(given), _MEANINGFUL[action]
    if checks.keys().isdisjoint(data):
        return data
    for name in checks.keys() & data.keys():
        if data[name] is None:
            # The description allows only text. None in Python means that there is no value.
            del data[name]
        else:
            within(name, checks[name], data[name])
    return data


def _recipient(data: JSON) -> str:
    if not isinstance(data, dict) or "recipient" not in data:
        raise RefusalError(
            "is missing: without an anonymous id an event is an invite, and needs an address",
            limit="an email address",
            actual="missing",
            at=("recipient",),
        )
    data["recipient"] = recipient = within("recipient", email_address, data["recipient"])
    return recipient


def _text(value: JSON) -> None:
    if not isinstance(value, str):
        raise wrong_type(value, "text")


def _texts(value: JSON) -> None:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise wrong_type(value, "a list of texts")


def _address(value: JSON) -> None:
    # Track API, person_event: these override the settings of a campaign, and have the format of an
    # email. A name may stand before the address, so the check is loose.
    if not isinstance(value, str) or "@" not in value:
        raise RefusalError(
            "is no email address, and would override the campaign's own",
            limit="an email address",
            actual="something else",
        )


#: Names in the data that have a meaning for Customer.io.
_MEANINGFUL: Mapping[str, Mapping[str, Callable[[JSON], None]]] = {
    "event": {"recipient": _address, "from_address": _address, "reply_to": _address},
    "page": {
        "path": _text,
        "referrer": _text,
        "search": _text,
        "title": _text,
        "url": _text,
        "keywords": _texts,
    },
    "screen": {},
}
