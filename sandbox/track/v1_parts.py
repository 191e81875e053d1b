"""The parts of v1 requests: identifiers, attributes, events. Refusals have v1's wording."""

from __future__ import annotations

from typing import Any

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import JsonObject, PersonRef, Relationship, person_ref
from trackrelay.sandbox.shape_checks import (
    as_name,
    is_email,
    is_integer,
    is_ulid,
    longer,
    overlong_name,
    overlong_value,
    too_large,
    wrong_keywords,
    wrong_preferences,
)

from . import v2_parts
from .track_messages import RefusalError

EVENT_TYPES = ("event", "page", "screen")
#: Fields that can be a number.
NAMES = frozenset({"anonymous_id"})


def path_person(identifier: str) -> PersonRef:
    """Return the reference to the person that a path names.

    v1 tells the kind of identifier by its form. A phone number counts as an id.
    """
    if not identifier.strip():
        raise RefusalError("", "id attribute cannot be an empty string")
    if "@" in identifier:
        if not is_email(identifier):
            raise RefusalError("", "email is not an email address")
        return person_ref("email", identifier)
    if identifier.startswith("cio_"):
        if not identifier.removeprefix("cio_").strip():
            raise RefusalError("", "cio_id attribute cannot be an empty string")
        return person_ref("cio_id", identifier.removeprefix("cio_"))
    if longer(identifier, published_limits.PERSON_ID_BYTES):
        raise RefusalError(
            "", f"id attribute cannot be longer than {published_limits.PERSON_ID_BYTES} bytes"
        )
    return person_ref("id", identifier)


def json_object(payload: Any) -> JsonObject:
    """Return the body, which must be an object."""
    if type(payload) is not dict:
        raise RefusalError("", "the body must be a hash")
    return payload


def person_attributes(payload: JsonObject) -> JsonObject:
    """Return a person's attributes, after checking them."""
    if len(payload) > published_limits.ATTRIBUTES:
        raise RefusalError(
            "", f"cannot identify more than {published_limits.ATTRIBUTES} attributes in one request"
        )
    if overlong_name(payload) is not None:
        raise RefusalError(
            "",
            f"attribute name cannot be longer than {published_limits.ATTRIBUTE_NAME_BYTES} bytes",
        )
    if (name := overlong_value(payload)) is not None:
        raise RefusalError(
            "",
            f"value for attribute '{name}' cannot be longer than "
            f"{published_limits.ATTRIBUTE_VALUE_BYTES} bytes",
        )
    payload = v2_parts.with_named(payload)
    if wrong := wrong_preferences(payload.get("cio_subscription_preferences")):
        raise RefusalError("", f"cio_subscription_preferences {wrong}")
    for name in ("id", "email", "anonymous_id"):
        if name in payload and payload[name] is not None and not isinstance(payload[name], str):
            raise RefusalError("", f"{name} attribute must be a string value")
    if payload.get("id") == "":
        raise RefusalError("", "id attribute cannot be an empty string")
    return payload


def flag(payload: JsonObject, name: str) -> bool:
    """Return an optional boolean."""
    given = payload.get(name, False)
    if type(given) is not bool:
        raise RefusalError("", f"{name} must be a boolean")
    return given


def timestamp(payload: JsonObject, name: str = "timestamp") -> int | None:
    """Return the timestamp in unix seconds, if there is one."""
    given: int | None = payload.get(name)
    if given is not None and not is_integer(given):
        raise RefusalError("", f"{name} must be an integer, in unix seconds")
    return given


def relationships(payload: JsonObject) -> tuple[tuple[Relationship, ...], bool]:
    """Return the objects in `cio_relationships`, and whether to remove the relationships."""
    given = payload.get("cio_relationships")
    if given is None:
        return (), False
    if type(given) is not dict:
        raise RefusalError("", "cio_relationships must be a hash")
    action = given.get("action", "add_relationships")
    if action not in ("add_relationships", "delete_relationships"):
        raise RefusalError(
            "", "cio_relationships action must be add_relationships or delete_relationships"
        )
    related = v2_parts.related_objects({"cio_relationships": given.get("relationships")})
    return related, action == "delete_relationships"


def event_name(payload: JsonObject) -> str:
    """Return an event's name, trimmed as Customer.io trims it."""
    name = payload.get("name")
    if not isinstance(name, str):
        raise RefusalError(
            "", "name cannot be blank" if name is None else "name must be a string value"
        )
    if not (trimmed := name.strip()):
        raise RefusalError("", "event name must not be blank")
    if longer(trimmed, published_limits.EVENT_NAME_BYTES):
        raise RefusalError(
            "", f"event name cannot be longer than {published_limits.EVENT_NAME_BYTES} bytes"
        )
    return trimmed


def event_type(payload: JsonObject) -> str:
    """Return the kind of event: page, screen or event. Any other text counts as event."""
    given = payload.get("type", "event")
    if not isinstance(given, str):
        raise RefusalError("", "event type must be a string value")
    return given if given in EVENT_TYPES else "event"


def event_id(payload: JsonObject) -> str | None:
    """Return the ULID by which Customer.io drops duplicates of an event, if there is one."""
    given: Any = payload.get("id")
    if is_integer(given):
        # The PHP client sends the person's id here. It identifies no event.
        return None
    if given is not None and not is_ulid(given):
        raise RefusalError("", "event id must be a valid ULID")
    return str(given) if given is not None else None


def event_data(payload: JsonObject) -> JsonObject:
    """Return an event's data, after checking it."""
    data = payload.get("data")
    if data is None:
        return {}
    if type(data) is not dict:
        raise RefusalError("", "event data must be a hash")
    if too_large(data, published_limits.EVENT_DATA_BYTES):
        raise RefusalError(
            "", f"event data cannot be longer than {published_limits.EVENT_DATA_BYTES} bytes"
        )
    for name in v2_parts.EVENT_TEXTS[event_type(payload)]:
        if not isinstance(data.get(name, ""), str):
            raise RefusalError("", f"{name} must be a string value")
    if event_type(payload) == "page" and wrong_keywords(data):
        raise RefusalError("", "keywords must be a list of strings")
    return data


def text(payload: JsonObject, name: str, required: bool = False) -> str | None:
    """Return an optional or required string."""
    given = as_name(payload.get(name)) if name in NAMES else payload.get(name)
    if given is None and not required:
        return None
    if not isinstance(given, str) or (required and not given.strip()):
        raise RefusalError(
            "",
            f"{name} attribute must be present"
            if given is None
            else f"{name} must be a string value",
        )
    return given
