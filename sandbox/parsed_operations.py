"""What the Track API can be told, whichever version of it said so: parsed, checked, typed.

Both versions of the API are read into these, and the workspace knows only these.
"""

from __future__ import annotations

from typing import Any

import msgspec

JsonObject = dict[str, Any]


class PersonRef(msgspec.Struct, frozen=True, gc=False):
    """One identifier of a person: `kind` is id, email, phone, cio_id or anonymous_id."""

    kind: str
    value: str
    #: How the sandbox names the person everywhere: `id:42`; emails in lower case, as they identify.
    key: str


class ObjectRef(msgspec.Struct, frozen=True, gc=False):
    """An object by type and id, or by `cio_object_id` (then the other two are None)."""

    type_id: str | None
    object_id: str | None
    cio_object_id: str | None
    key: str


class Relationship(msgspec.Struct, frozen=True):
    """The other end of a relationship, and the relationship's own attributes."""

    other: PersonRef | ObjectRef
    attributes: JsonObject


def person_ref(kind: str, value: str) -> PersonRef:
    """Name a person by one identifier."""
    if kind == "email":
        return PersonRef(kind, value, f"email:{value.lower()}")
    if kind == "anonymous_id":
        return PersonRef(kind, value, f"anonymous:{value}")
    return PersonRef(kind, value, f"{kind}:{value}")


def object_ref(type_id: str, object_id: str) -> ObjectRef:
    """Name an object by its type and id."""
    return ObjectRef(type_id, object_id, None, f"object:{type_id}:{object_id}")


def cio_object_ref(cio_object_id: str) -> ObjectRef:
    """Name an object by the id Customer.io gave it."""
    return ObjectRef(None, None, cio_object_id, f"cio_object:{cio_object_id}")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing the workspace is told; subclasses say what."""

    type: str
    action: str
    #: Whom or what it is about, first the subject: `id:42`, `object:1:acme`, `anonymous:abc`.
    keys: tuple[str, ...]
    #: Name of an event or metric, form id, segment id.
    name: str | None = None
    #: The ULID an event is de-duplicated by.
    id: str | None = None
    #: Unix seconds, as the sender said.
    timestamp: int | None = None
    attributes: JsonObject | None = None


class Identify(Operation, frozen=True, kw_only=True):
    """Create or update a person."""

    person: PersonRef
    relationships: tuple[Relationship, ...] = ()
    #: v1 can take relationships away in an identify.
    remove_relationships: bool = False
    update_only: bool = False


class Event(Operation, frozen=True, kw_only=True):
    """An event, page or screen; `person` is None for an invite, which belongs to nobody."""

    person: PersonRef | None


class DeletePerson(Operation, frozen=True, kw_only=True):
    """Remove a person and all that is known of them."""

    person: PersonRef


class Suppress(Operation, frozen=True, kw_only=True):
    """Remove a person and swallow what is sent to them from now on."""

    person: PersonRef


class Unsuppress(Operation, frozen=True, kw_only=True):
    """Let a suppressed person's identifiers be used again."""

    person: PersonRef


class AddDevice(Operation, frozen=True, kw_only=True):
    """Add or update a person's device."""

    person: PersonRef
    token: str
    platform: str
    last_used: int | None


class DeleteDevice(Operation, frozen=True, kw_only=True):
    """Take a device from a person."""

    person: PersonRef
    token: str


class Merge(Operation, frozen=True, kw_only=True):
    """Fold `secondary` into `primary` and delete it."""

    primary: PersonRef
    secondary: PersonRef


class RelatePerson(Operation, frozen=True, kw_only=True):
    """Relate a person to objects, or take relationships away."""

    person: PersonRef
    relationships: tuple[Relationship, ...]
    remove: bool


class IdentifyObject(Operation, frozen=True, kw_only=True):
    """Create or update an object; `relationships` may name anonymous people."""

    object: ObjectRef
    relationships: tuple[Relationship, ...] = ()


class DeleteObject(Operation, frozen=True, kw_only=True):
    """Remove an object and its relationships."""

    object: ObjectRef


class RelateObject(Operation, frozen=True, kw_only=True):
    """Relate an object to people, or take relationships away."""

    object: ObjectRef
    relationships: tuple[Relationship, ...]
    remove: bool


class ReportMetric(Operation, frozen=True, kw_only=True):
    """Something happened to a message: v2 delivery events, v1 metrics and push metrics."""

    delivery_id: str


class Unsubscribe(Operation, frozen=True, kw_only=True):
    """Somebody unsubscribed by way of a message."""

    delivery_id: str
    unsubscribe: bool


class ChangeSegment(Operation, frozen=True, kw_only=True):
    """Add people to a manual segment, or take them out."""

    segment_id: int
    people: tuple[PersonRef, ...]
    remove: bool


class SubmitForm(Operation, frozen=True, kw_only=True):
    """Somebody filled in a form."""

    form_id: str
    person: PersonRef
