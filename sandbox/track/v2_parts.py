"""The parts of v2 operations: identifiers, attributes, names, relationships, devices."""

from __future__ import annotations

from typing import Any

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import (
    JsonObject,
    ObjectRef,
    PersonRef,
    Relationship,
    cio_object_ref,
    object_ref,
    person_ref,
)
from trackrelay.sandbox.shape_checks import (
    as_name,
    is_email,
    is_integer,
    is_phone,
    is_type_id,
    is_ulid,
    longer,
    overlong_name,
    overlong_value,
    too_large,
    wrong_keywords,
    wrong_preferences,
)

from .track_messages import RefusalError

PERSON_KINDS = frozenset({"id", "email", "phone", "cio_id"})
#: Merges and objects cannot name a person by phone.
PLAIN_PERSON_KINDS = frozenset({"id", "email", "cio_id"})
ANONYMOUS_KINDS = frozenset({"anonymous_id"})


def person(
    identifiers: Any, field: str = "identifiers", kinds: frozenset[str] = PERSON_KINDS
) -> PersonRef:
    """Return the reference to a person, from exactly one identifier."""
    if type(identifiers) is not dict:
        raise _missing_or_wrong(identifiers, field)
    if len(identifiers) != 1:
        raise RefusalError(field, f"exactly one identifier is required, got {len(identifiers)}")
    for kind, value in identifiers.items():
        if kind not in kinds:
            raise RefusalError(
                f"{field}.{kind}", f"unknown identifier, expected one of {', '.join(sorted(kinds))}"
            )
        named = _checked(kind, value, f"{field}.{kind}")
    return person_ref(kind, named)


def some_object(identifiers: Any, field: str = "identifiers") -> ObjectRef:
    """Return the reference to an object: by type and id, or by cio_object_id."""
    if type(identifiers) is not dict:
        raise _missing_or_wrong(identifiers, field)
    if identifiers.keys() == {"object_type_id", "object_id"}:
        return _object_by_id(identifiers["object_type_id"], identifiers["object_id"], field)
    if identifiers.keys() == {"cio_object_id"}:
        cio_object_id = _text(identifiers["cio_object_id"], f"{field}.cio_object_id")
        return cio_object_ref(cio_object_id)
    raise RefusalError(
        field, "an object is named by object_type_id and object_id, or by cio_object_id alone"
    )


def _object_by_id(type_id: Any, object_id: Any, field: str) -> ObjectRef:
    if not is_type_id(type_id):
        raise RefusalError(
            f"{field}.object_type_id", "must be a string that holds an integer from 1"
        )
    object_id = _text(as_name(object_id), f"{field}.object_id")
    if longer(object_id, published_limits.OBJECT_ID_BYTES):
        raise RefusalError(
            f"{field}.object_id", f"cannot be longer than {published_limits.OBJECT_ID_BYTES} bytes"
        )
    return object_ref(type_id, object_id)


def _checked(kind: str, value: Any, field: str) -> str:
    text = _text(value if kind in ("email", "phone") else as_name(value), field)
    if kind == "email":
        if not is_email(text):
            raise RefusalError(field, "is not an email address")
    elif kind == "phone":
        if not is_phone(text):
            raise RefusalError(field, "must be in E.164 format")
    elif longer(text, published_limits.PERSON_ID_BYTES):
        raise RefusalError(field, f"cannot be longer than {published_limits.PERSON_ID_BYTES} bytes")
    return text


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise RefusalError(field, "must be a string value")
    if not value.strip():
        raise RefusalError(field, "cannot be an empty string")
    return value


def _missing_or_wrong(identifiers: Any, field: str) -> RefusalError:
    if identifiers is None:
        return RefusalError(field, "must be present", "required")
    return RefusalError(field, "must be an object")


#: Event data that the description requires to be strings; all other data is free.
EVENT_TEXTS = {
    "event": ("recipient", "from_address", "reply_to"),
    "page": ("path", "referrer", "search", "title", "url"),
    "screen": (),
}
PLATFORMS = ("ios", "android")


def person_attributes(operation: JsonObject) -> JsonObject:
    """Return a person's attributes, after checking them."""
    attributes = _measured(operation.get("attributes"), "attributes")
    if type(attributes.get("_update", False)) is not bool:
        raise RefusalError("attributes._update", "must be a boolean")
    if wrong := wrong_preferences(attributes.get("cio_subscription_preferences")):
        raise RefusalError("attributes.cio_subscription_preferences", wrong)
    attributes = with_named(attributes)
    if not isinstance(attributes.get("anonymous_id"), str | None):
        raise RefusalError("attributes.anonymous_id", "must be a string value")
    return attributes


def with_named(attributes: JsonObject) -> JsonObject:
    """Return the attributes with numeric identifiers as text."""
    numbers = {
        name: as_name(attributes[name])
        for name in ("id", "anonymous_id")
        if type(attributes.get(name)) is int
    }
    return {**attributes, **numbers} if numbers else attributes


def object_attributes(attributes: Any, field: str = "attributes") -> JsonObject:
    """Return the attributes of an object or a relationship; all together have a limit, too."""
    measured = _measured(attributes, field)
    if measured and too_large(measured, published_limits.ATTRIBUTES_BYTES):
        raise RefusalError(
            field,
            f"attributes cannot be larger than {published_limits.ATTRIBUTES_BYTES} bytes together",
        )
    return measured


def _measured(attributes: Any, field: str) -> JsonObject:
    if attributes is None:
        return {}
    if type(attributes) is not dict:
        raise RefusalError(field, "must be an object")
    if len(attributes) > published_limits.ATTRIBUTES:
        raise RefusalError(
            field,
            f"cannot identify more than {published_limits.ATTRIBUTES} attributes in one request",
        )
    if (name := overlong_name(attributes)) is not None:
        raise RefusalError(
            field,
            f"property name cannot be longer than {published_limits.ATTRIBUTE_NAME_BYTES} bytes: "
            f"{name[:40]}…",
        )
    if (name := overlong_value(attributes)) is not None:
        raise RefusalError(
            f"{field}.{name}",
            f"property value cannot be longer than {published_limits.ATTRIBUTE_VALUE_BYTES} bytes",
        )
    return attributes


def event_name(operation: JsonObject) -> str:
    """Return an event's name, trimmed as Customer.io trims it."""
    name = operation.get("name")
    if name is None:
        raise RefusalError("name", "must be present", "required")
    if not isinstance(name, str):
        raise RefusalError("name", "must be a string value")
    if not (trimmed := name.strip()):
        raise RefusalError("name", "cannot be blank")
    if longer(trimmed, published_limits.EVENT_NAME_BYTES):
        raise RefusalError(
            "name", f"cannot be longer than {published_limits.EVENT_NAME_BYTES} bytes"
        )
    return trimmed


def event_id(operation: JsonObject) -> str | None:
    """Return the ULID by which Customer.io drops duplicates of an event, if there is one."""
    given: str | None = operation.get("id")
    if given is not None and not is_ulid(given):
        raise RefusalError("id", "must be a valid ULID")
    return given


def timestamp(operation: JsonObject, field: str = "timestamp") -> int | None:
    """Return the timestamp in unix seconds, if there is one."""
    given: int | None = operation.get("timestamp")
    if given is not None and not is_integer(given):
        raise RefusalError(field, "must be an integer, in unix seconds")
    return given


def event_data(operation: JsonObject) -> JsonObject:
    """Return an event's data, which v2 calls attributes."""
    data = operation.get("attributes")
    if data is None:
        return {}
    if type(data) is not dict:
        raise RefusalError("attributes", "must be an object")
    for name in EVENT_TEXTS[operation["action"]]:
        if not isinstance(data.get(name, ""), str):
            raise RefusalError(f"attributes.{name}", "must be a string value")
    if operation["action"] == "page" and wrong_keywords(data):
        raise RefusalError("attributes.keywords", "must be a list of strings")
    return data


def related_objects(operation: JsonObject, required: bool = False) -> tuple[Relationship, ...]:
    """Return the related objects in `cio_relationships` of a person."""
    return tuple(
        Relationship(
            some_object(entry.get("identifiers"), f"{field}.identifiers"),
            _own(entry, field),
        )
        for field, entry in _entries(operation, required)
    )


def related_people(
    operation: JsonObject,
    required: bool = False,
    kinds: frozenset[str] = PLAIN_PERSON_KINDS,
) -> tuple[Relationship, ...]:
    """Return the related people in `cio_relationships` of an object."""
    return tuple(
        Relationship(
            person(entry.get("identifiers"), f"{field}.identifiers", kinds),
            _own(entry, field),
        )
        for field, entry in _entries(operation, required)
    )


def anonymous_people(operation: JsonObject) -> tuple[Relationship, ...]:
    """Return the anonymous people that an object is related to.

    The schema has them in `cio_relationships`, the example in a top-level `anonymous_id`. Both
    are accepted.
    """
    related = related_people(operation, kinds=ANONYMOUS_KINDS)
    if (given := operation.get("anonymous_id")) is None:
        return related
    ref = person({"anonymous_id": given}, "anonymous_id", ANONYMOUS_KINDS)
    return (*related, Relationship(ref, {}))


def _entries(operation: JsonObject, required: bool) -> list[tuple[str, JsonObject]]:
    entries = operation.get("cio_relationships")
    if entries is None:
        if required:
            raise RefusalError("cio_relationships", "must be present", "required")
        return []
    if type(entries) is not list:
        raise RefusalError("cio_relationships", "must be a list")
    for entry in entries:
        if type(entry) is not dict:
            raise RefusalError("cio_relationships", "must be a list of objects")
    return [(f"cio_relationships[{index}]", entry) for index, entry in enumerate(entries)]


def _own(entry: JsonObject, field: str) -> JsonObject:
    return object_attributes(
        entry.get("relationship_attributes"), f"{field}.relationship_attributes"
    )


def device(operation: JsonObject) -> JsonObject:
    """Return the device of an operation: an object with a token."""
    given = operation.get("device")
    if given is None:
        raise RefusalError("device", "must be present", "required")
    if type(given) is not dict:
        raise RefusalError("device", "must be an object")
    token = given.get("token")
    if not isinstance(token, str) or not token.strip():
        raise RefusalError(
            "device.token",
            "must be present" if token is None else "must be a string value",
            "required",
        )
    return given


def check_device(device: JsonObject, field: str = "device") -> None:
    """Check a device that is added, by v1 or v2."""
    if device.get("platform") not in PLATFORMS:
        raise RefusalError(f"{field}.platform", "must be one of ios, android")
    if not is_integer(device.get("last_used", 0)):
        raise RefusalError(f"{field}.last_used", "must be an integer, in unix seconds")
    attributes = device.get("attributes", {})
    if type(attributes) is not dict:
        raise RefusalError(f"{field}.attributes", "must be an object")
    for name, value in attributes.items():
        if not isinstance(value, str):
            raise RefusalError(f"{field}.attributes.{name}", "must be a string value")
    if attributes.get("push_enabled", "true") not in ("true", "false"):
        raise RefusalError(f"{field}.attributes.push_enabled", "must be one of true, false")


def merged_person(operation: JsonObject, role: str) -> PersonRef:
    """Return the primary or the secondary person of a merge."""
    return person(operation.get(role), role, PLAIN_PERSON_KINDS)
