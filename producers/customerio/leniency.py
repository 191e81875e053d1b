"""Leniency: what the Track API accepts and ignores, the drop-in client accepts as well."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.checks import person_checks
from trackrelay.operations.checks.attribute_checks import attributes_of
from trackrelay.operations.checks.check_result import Checked, Document
from trackrelay.operations.checks.name_checks import email_address
from trackrelay.operations.checks.rejection import RefusalError, within
from trackrelay.operations.operation import Operation
from trackrelay.operations.refused_operations import RefusedPayload
from trackrelay.operations.registry import BY_TYPE_AND_ACTION
from trackrelay.operations.validation import check

#: Addresses in an event's data that override a campaign's own, unless they are blank.
_OVERRIDES = frozenset({"recipient", "from_address", "reply_to"})


def operation(document: Any) -> Operation:
    """Return the operation of ``document``, without the parts that the Track API ignores.

    Raises:
        InvalidOperationError: Customer.io would refuse or misunderstand it.
    """
    return check(_without_ignored(document), actions=_ACTIONS)


def operations(documents: Sequence[Any]) -> list[Operation]:
    """Return the operations of all ``documents``.

    Raises:
        InvalidOperationError: the first refusal, with the parts of all documents.
    """
    made: list[Operation] = []
    parts: list[Operation | RefusedPayload] = []
    first: InvalidOperationError | None = None
    for document in documents:
        try:
            made.append(operation(document))
            parts.append(made[-1])
        except InvalidOperationError as error:
            first = first or error
            parts += error.parts
    if first is not None:
        first.parts = tuple(parts)
        raise first
    return made


def is_blank(value: object) -> bool:
    """Return whether ``value`` is None or blank text."""
    return value is None or (isinstance(value, str) and not value.strip())


def _identify(document: Document) -> Checked:
    """Check an identify, but keep its email attribute as it is, for Customer.io to judge."""
    given, identifiers = document.get("attributes"), document["identifiers"]
    email = given.get("email") if isinstance(given, Mapping) else None
    named_by_email = isinstance(identifiers, Mapping) and "email" in identifiers
    if not isinstance(given, Mapping) or named_by_email or not _is_odd(email):
        return person_checks.identify(document)
    rest = {name: value for name, value in given.items() if name != "email"}
    checked = person_checks.identify({**document, "attributes": rest})
    kept = within("attributes", attributes_of, {"email": email})
    checked.document["attributes"] = {**_attributes(checked), **kept}
    return checked


def _attributes(checked: Checked) -> dict[str, Any]:
    """Return the attributes of a checked document."""
    attributes = checked.document.get("attributes")
    return attributes if isinstance(attributes, dict) else {}


def _is_odd(email: object) -> bool:
    if not isinstance(email, str) or not email:
        return False
    try:
        email_address(email)
    except RefusalError:
        return True
    return False


_IDENTIFY = ("person", "identify")
_ACTIONS = {
    **BY_TYPE_AND_ACTION,
    _IDENTIFY: dataclasses.replace(BY_TYPE_AND_ACTION[_IDENTIFY], check=_identify),
}


def _without_ignored(document: Any) -> Any:
    if not isinstance(document, dict) or document.get("type") not in ("person", "anonymous"):
        return document
    if document.get("action") == "add_device":
        return _changed(
            document, "device", lambda device: _changed(device, "attributes", _without_status)
        )
    if document.get("action") == "identify":
        return _changed(document, "attributes", _without_blank_identifiers)
    return _changed(document, "attributes", _without_blank_overrides)


def _changed(whole: Any, name: str, change: Any) -> Any:
    if not isinstance(whole, dict) or not isinstance(part := whole.get(name), dict):
        return whole
    return {**whole, name: change(part)}


def _without_status(attributes: dict[str, Any]) -> dict[str, Any]:
    # Track API, device_object_common: read only.
    return {name: value for name, value in attributes.items() if name != "_last_status"}


def _without_blank_identifiers(attributes: dict[str, Any]) -> dict[str, Any]:
    ignored = {"anonymous_id"} if is_blank(attributes.get("anonymous_id", "?")) else set()
    if attributes.get("id", "?") is None:
        ignored.add("id")
    return {name: value for name, value in attributes.items() if name not in ignored}


def _without_blank_overrides(data: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in data.items() if name not in _OVERRIDES or not is_blank(value)
    }
