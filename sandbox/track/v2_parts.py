"""The parts that operations of v2 are made of: attributes, names, relationships, devices."""

from __future__ import annotations

from typing import Any

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import JsonObject, PersonRef, Relationship
from trackrelay.sandbox.shape_checks import (
    as_name,
    is_integer,
    is_ulid,
    longer,
    overlong_name,
    overlong_value,
    too_large,
    wrong_keywords,
    wrong_preferences,
)

from . import v2_identifiers
from .refusal import Refused

#: The description gives types to these; everything else in an event's data is free.
EVENT_TEXTS = {
    "event": ("recipient", "from_address", "reply_to"),
    "page": ("path", "referrer", "search", "title", "url"),
    "screen": (),
}
PLATFORMS = ("ios", "android")


def person_attributes(operation: JsonObject) -> JsonObject:
    """A person's attributes, within the limits."""
    attributes = _measured(operation.get("attributes"), "attributes")
    if type(attributes.get("_update", False)) is not bool:
        raise Refused("attributes._update", "must be a boolean")
    if wrong := wrong_preferences(attributes.get("cio_subscription_preferences")):
        raise Refused("attributes.cio_subscription_preferences", wrong)
    attributes = with_named(attributes)
    if not isinstance(attributes.get("anonymous_id"), str | None):
        raise Refused("attributes.anonymous_id", "must be a string value")
    return attributes


def with_named(attributes: JsonObject) -> JsonObject:
    """Return the attributes with a number that names the person as its text."""
    numbers = {
        name: as_name(attributes[name])
        for name in ("id", "anonymous_id")
        if type(attributes.get(name)) is int
    }
    return {**attributes, **numbers} if numbers else attributes


def object_attributes(attributes: Any, field: str = "attributes") -> JsonObject:
    """The attributes of an object or of a relationship, which also have a limit together."""
    measured = _measured(attributes, field)
    if measured and too_large(measured, published_limits.ATTRIBUTES_BYTES):
        raise Refused(
            field,
            f"attributes cannot be larger than {published_limits.ATTRIBUTES_BYTES} bytes together",
        )
    return measured


def _measured(attributes: Any, field: str) -> JsonObject:
    if attributes is None:
        return {}
    if type(attributes) is not dict:
        raise Refused(field, "must be an object")
    if len(attributes) > published_limits.ATTRIBUTES:
        raise Refused(
            field,
            f"cannot identify more than {published_limits.ATTRIBUTES} attributes in one request",
        )
    if (name := overlong_name(attributes)) is not None:
        raise Refused(
            field,
            f"property name cannot be longer than {published_limits.ATTRIBUTE_NAME_BYTES} bytes: {name[:40]}…",
        )
    if (name := overlong_value(attributes)) is not None:
        raise Refused(
            f"{field}.{name}",
            f"property value cannot be longer than {published_limits.ATTRIBUTE_VALUE_BYTES} bytes",
        )
    return attributes


def event_name(operation: JsonObject) -> str:
    """An event's name, trimmed as Customer.io trims it."""
    name = operation.get("name")
    if name is None:
        raise Refused("name", "must be present", "required")
    if not isinstance(name, str):
        raise Refused("name", "must be a string value")
    if not (trimmed := name.strip()):
        raise Refused("name", "cannot be blank")
    if longer(trimmed, published_limits.EVENT_NAME_BYTES):
        raise Refused("name", f"cannot be longer than {published_limits.EVENT_NAME_BYTES} bytes")
    return trimmed


def event_id(operation: JsonObject) -> str | None:
    """The ULID an event is de-duplicated by, if it has one."""
    given: str | None = operation.get("id")
    if given is not None and not is_ulid(given):
        raise Refused("id", "must be a valid ULID")
    return given


def timestamp(operation: JsonObject, field: str = "timestamp") -> int | None:
    """Unix seconds, if the operation says when."""
    given: int | None = operation.get("timestamp")
    if given is not None and not is_integer(given):
        raise Refused(field, "must be an integer, in unix seconds")
    return given


def event_data(operation: JsonObject) -> JsonObject:
    """An event's data, which v2 calls attributes."""
    data = operation.get("attributes")
    if data is None:
        return {}
    if type(data) is not dict:
        raise Refused("attributes", "must be an object")
    for name in EVENT_TEXTS[operation["action"]]:
        if not isinstance(data.get(name, ""), str):
            raise Refused(f"attributes.{name}", "must be a string value")
    if operation["action"] == "page" and wrong_keywords(data):
        raise Refused("attributes.keywords", "must be a list of strings")
    return data


def related_objects(operation: JsonObject, required: bool = False) -> tuple[Relationship, ...]:
    """The objects in `cio_relationships` of a person."""
    return tuple(
        Relationship(
            v2_identifiers.some_object(entry.get("identifiers"), f"{field}.identifiers"),
            _own(entry, field),
        )
        for field, entry in _entries(operation, required)
    )


def related_people(
    operation: JsonObject,
    required: bool = False,
    kinds: frozenset[str] = v2_identifiers.PLAIN_PERSON_KINDS,
) -> tuple[Relationship, ...]:
    """The people in `cio_relationships` of an object."""
    return tuple(
        Relationship(
            v2_identifiers.person(entry.get("identifiers"), f"{field}.identifiers", kinds),
            _own(entry, field),
        )
        for field, entry in _entries(operation, required)
    )


def anonymous_people(operation: JsonObject) -> tuple[Relationship, ...]:
    """Whom an object is related to before they are known.

    The description's schema has them in `cio_relationships`, its example in a top-level `anonymous_id`; both are taken.
    """
    related = related_people(operation, kinds=v2_identifiers.ANONYMOUS_KINDS)
    if (given := operation.get("anonymous_id")) is None:
        return related
    ref = v2_identifiers.person(
        {"anonymous_id": given}, "anonymous_id", v2_identifiers.ANONYMOUS_KINDS
    )
    return (*related, Relationship(ref, {}))


def _entries(operation: JsonObject, required: bool) -> list[tuple[str, JsonObject]]:
    entries = operation.get("cio_relationships")
    if entries is None:
        if required:
            raise Refused("cio_relationships", "must be present", "required")
        return []
    if type(entries) is not list:
        raise Refused("cio_relationships", "must be a list")
    for entry in entries:
        if type(entry) is not dict:
            raise Refused("cio_relationships", "must be a list of objects")
    return [(f"cio_relationships[{index}]", entry) for index, entry in enumerate(entries)]


def _own(entry: JsonObject, field: str) -> JsonObject:
    return object_attributes(
        entry.get("relationship_attributes"), f"{field}.relationship_attributes"
    )


def device(operation: JsonObject) -> JsonObject:
    """The device of an operation: an object with a token."""
    given = operation.get("device")
    if given is None:
        raise Refused("device", "must be present", "required")
    if type(given) is not dict:
        raise Refused("device", "must be an object")
    token = given.get("token")
    if not isinstance(token, str) or not token.strip():
        raise Refused(
            "device.token",
            "must be present" if token is None else "must be a string value",
            "required",
        )
    return given


def check_device(device: JsonObject, field: str = "device") -> None:
    """What v1 and v2 alike ask of a device that is added."""
    if device.get("platform") not in PLATFORMS:
        raise Refused(f"{field}.platform", "must be one of ios, android")
    if not is_integer(device.get("last_used", 0)):
        raise Refused(f"{field}.last_used", "must be an integer, in unix seconds")
    attributes = device.get("attributes", {})
    if type(attributes) is not dict:
        raise Refused(f"{field}.attributes", "must be an object")
    for name, value in attributes.items():
        if not isinstance(value, str):
            raise Refused(f"{field}.attributes.{name}", "must be a string value")
    if attributes.get("push_enabled", "true") not in ("true", "false"):
        raise Refused(f"{field}.attributes.push_enabled", "must be one of true, false")


def merged_person(operation: JsonObject, role: str) -> PersonRef:
    """One side of a merge."""
    return v2_identifiers.person(operation.get(role), role, v2_identifiers.PLAIN_PERSON_KINDS)
