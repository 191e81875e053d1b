"""The parts that requests of v1 are made of, refused in v1's words."""

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
from .refusal import Refused

EVENT_TYPES = ("event", "page", "screen")
#: What may be a number.
NAMES = frozenset({"anonymous_id"})


def path_person(identifier: str) -> PersonRef:
    """The person a path names: v1 tells the kind of identifier by its shape, and a phone is an id to it."""
    if not identifier.strip():
        raise Refused("", "id attribute cannot be an empty string")
    if "@" in identifier:
        if not is_email(identifier):
            raise Refused("", "email is not an email address")
        return person_ref("email", identifier)
    if identifier.startswith("cio_"):
        if not identifier.removeprefix("cio_").strip():
            raise Refused("", "cio_id attribute cannot be an empty string")
        return person_ref("cio_id", identifier.removeprefix("cio_"))
    if longer(identifier, published_limits.PERSON_ID_BYTES):
        raise Refused(
            "", f"id attribute cannot be longer than {published_limits.PERSON_ID_BYTES} bytes"
        )
    return person_ref("id", identifier)


def json_object(payload: Any) -> JsonObject:
    """The body, which is an object everywhere."""
    if type(payload) is not dict:
        raise Refused("", "the body must be a hash")
    return payload


def person_attributes(payload: JsonObject) -> JsonObject:
    """A person's attributes, within the limits."""
    if len(payload) > published_limits.ATTRIBUTES:
        raise Refused(
            "", f"cannot identify more than {published_limits.ATTRIBUTES} attributes in one request"
        )
    if overlong_name(payload) is not None:
        raise Refused(
            "",
            f"attribute name cannot be longer than {published_limits.ATTRIBUTE_NAME_BYTES} bytes",
        )
    if (name := overlong_value(payload)) is not None:
        raise Refused(
            "",
            f"value for attribute '{name}' cannot be longer than {published_limits.ATTRIBUTE_VALUE_BYTES} bytes",
        )
    payload = v2_parts.with_named(payload)
    if wrong := wrong_preferences(payload.get("cio_subscription_preferences")):
        raise Refused("", f"cio_subscription_preferences {wrong}")
    for name in ("id", "email", "anonymous_id"):
        if name in payload and payload[name] is not None and not isinstance(payload[name], str):
            raise Refused("", f"{name} attribute must be a string value")
    if payload.get("id") == "":
        raise Refused("", "id attribute cannot be an empty string")
    return payload


def flag(payload: JsonObject, name: str) -> bool:
    """A boolean that may be missing."""
    given = payload.get(name, False)
    if type(given) is not bool:
        raise Refused("", f"{name} must be a boolean")
    return given


def timestamp(payload: JsonObject, name: str = "timestamp") -> int | None:
    """Unix seconds, if the payload says when."""
    given: int | None = payload.get(name)
    if given is not None and not is_integer(given):
        raise Refused("", f"{name} must be an integer, in unix seconds")
    return given


def relationships(payload: JsonObject) -> tuple[tuple[Relationship, ...], bool]:
    """`cio_relationships` of an identify: the objects, and whether they are taken away."""
    given = payload.get("cio_relationships")
    if given is None:
        return (), False
    if type(given) is not dict:
        raise Refused("", "cio_relationships must be a hash")
    action = given.get("action", "add_relationships")
    if action not in ("add_relationships", "delete_relationships"):
        raise Refused(
            "", "cio_relationships action must be add_relationships or delete_relationships"
        )
    related = v2_parts.related_objects({"cio_relationships": given.get("relationships")})
    return related, action == "delete_relationships"


def event_name(payload: JsonObject) -> str:
    """An event's name, trimmed as Customer.io trims it."""
    name = payload.get("name")
    if not isinstance(name, str):
        raise Refused("", "name cannot be blank" if name is None else "name must be a string value")
    if not (trimmed := name.strip()):
        raise Refused("", "event name must not be blank")
    if longer(trimmed, published_limits.EVENT_NAME_BYTES):
        raise Refused(
            "", f"event name cannot be longer than {published_limits.EVENT_NAME_BYTES} bytes"
        )
    return trimmed


def event_type(payload: JsonObject) -> str:
    """page, screen, or event; any other text is an event too."""
    given = payload.get("type", "event")
    if not isinstance(given, str):
        raise Refused("", "event type must be a string value")
    return given if given in EVENT_TYPES else "event"


def event_id(payload: JsonObject) -> str | None:
    """Return the ULID an event is de-duplicated by, if it has one."""
    given: Any = payload.get("id")
    if is_integer(given):
        # The PHP client sends the person's id here; nothing is recognised by it.
        return None
    if given is not None and not is_ulid(given):
        raise Refused("", "event id must be a valid ULID")
    return str(given) if given is not None else None


def event_data(payload: JsonObject) -> JsonObject:
    """An event's data, within the limit."""
    data = payload.get("data")
    if data is None:
        return {}
    if type(data) is not dict:
        raise Refused("", "event data must be a hash")
    if too_large(data, published_limits.EVENT_DATA_BYTES):
        raise Refused(
            "", f"event data cannot be longer than {published_limits.EVENT_DATA_BYTES} bytes"
        )
    for name in v2_parts.EVENT_TEXTS[event_type(payload)]:
        if not isinstance(data.get(name, ""), str):
            raise Refused("", f"{name} must be a string value")
    if event_type(payload) == "page" and wrong_keywords(data):
        raise Refused("", "keywords must be a list of strings")
    return data


def text(payload: JsonObject, name: str, required: bool = False) -> str | None:
    """A text that may be missing, or may not."""
    given = as_name(payload.get(name)) if name in NAMES else payload.get(name)
    if given is None and not required:
        return None
    if not isinstance(given, str) or (required and not given.strip()):
        raise Refused(
            "",
            f"{name} attribute must be present"
            if given is None
            else f"{name} must be a string value",
        )
    return given
