"""The operations of the Track API: parsed, checked and typed.

Both versions of the API are read into these classes, and the workspace knows only these.
"""

from __future__ import annotations

from typing import Any

import msgspec

JsonObject = dict[str, Any]


class PersonRef(msgspec.Struct, frozen=True, gc=False):
    """One identifier of a person: ``kind`` is id, email, phone, cio_id or anonymous_id."""

    kind: str
    value: str
    #: How the sandbox shows the person: ``id:42``. Emails identify in lower case.
    key: str


class ObjectRef(msgspec.Struct, frozen=True, gc=False):
    """An object by type and id, or by ``cio_object_id`` (then the other two are None)."""

    type_id: str | None
    object_id: str | None
    cio_object_id: str | None
    key: str


class Relationship(msgspec.Struct, frozen=True):
    """The other end of a relationship, and the attributes of the relationship."""

    other: PersonRef | ObjectRef
    attributes: JsonObject


def person_ref(kind: str, value: str) -> PersonRef:
    """Return the reference to a person by one identifier."""
    if kind == "email":
        return PersonRef(kind, value, f"email:{value.lower()}")
    if kind == "anonymous_id":
        return PersonRef(kind, value, f"anonymous:{value}")
    return PersonRef(kind, value, f"{kind}:{value}")


def object_ref(type_id: str, object_id: str) -> ObjectRef:
    """Return the reference to an object by its type and id."""
    return ObjectRef(type_id, object_id, None, f"object:{type_id}:{object_id}")


def cio_object_ref(cio_object_id: str) -> ObjectRef:
    """Return the reference to an object by the id that Customer.io assigned."""
    return ObjectRef(None, None, cio_object_id, f"cio_object:{cio_object_id}")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation; the subclasses add what each kind needs."""

    type: str
    action: str
    #: The keys it is about, the subject first: ``id:42``, ``object:1:acme``, ``anonymous:abc``.
    keys: tuple[str, ...]
    #: Name of an event or metric, form id, segment id.
    name: str | None = None
    #: The ULID by which Customer.io drops duplicates of an event.
    id: str | None = None
    #: Unix seconds, as sent.
    timestamp: int | None = None
    attributes: JsonObject | None = None


class Identify(Operation, frozen=True, kw_only=True):
    """Create or update a person."""

    type: str = "person"
    action: str = "identify"
    person: PersonRef
    relationships: tuple[Relationship, ...] = ()
    #: An identify of v1 can remove relationships.
    remove_relationships: bool = False
    update_only: bool = False


class Event(Operation, frozen=True, kw_only=True):
    """An event, page or screen; an invite belongs to nobody, so its ``person`` is None."""

    type: str = "person"
    person: PersonRef | None


class DeletePerson(Operation, frozen=True, kw_only=True):
    """Delete a person."""

    type: str = "person"
    action: str = "delete"
    person: PersonRef


class Suppress(Operation, frozen=True, kw_only=True):
    """Delete a person and ignore later operations about them."""

    type: str = "person"
    action: str = "suppress"
    person: PersonRef


class Unsuppress(Operation, frozen=True, kw_only=True):
    """Accept the identifiers of a suppressed person again."""

    type: str = "person"
    action: str = "unsuppress"
    person: PersonRef


class AddDevice(Operation, frozen=True, kw_only=True):
    """Add or update a person's device."""

    type: str = "person"
    action: str = "add_device"
    person: PersonRef
    token: str
    platform: str
    last_used: int | None


class DeleteDevice(Operation, frozen=True, kw_only=True):
    """Remove a person's device."""

    type: str = "person"
    action: str = "delete_device"
    person: PersonRef
    token: str


class Merge(Operation, frozen=True, kw_only=True):
    """Merge ``secondary`` into ``primary`` and delete it."""

    type: str = "person"
    action: str = "merge"
    primary: PersonRef
    secondary: PersonRef


class RelatePerson(Operation, frozen=True, kw_only=True):
    """Relate a person to objects, or remove relationships."""

    type: str = "person"
    person: PersonRef
    relationships: tuple[Relationship, ...]
    remove: bool


class IdentifyObject(Operation, frozen=True, kw_only=True):
    """Create or update an object; ``relationships`` can name anonymous people."""

    type: str = "object"
    object: ObjectRef
    relationships: tuple[Relationship, ...] = ()


class DeleteObject(Operation, frozen=True, kw_only=True):
    """Delete an object and its relationships."""

    type: str = "object"
    action: str = "delete"
    object: ObjectRef


class RelateObject(Operation, frozen=True, kw_only=True):
    """Relate an object to people, or remove relationships."""

    type: str = "object"
    object: ObjectRef
    relationships: tuple[Relationship, ...]
    remove: bool


class ReportMetric(Operation, frozen=True, kw_only=True):
    """A report about a message: a v2 delivery event, a v1 metric or a v1 push metric."""

    type: str = "delivery"
    delivery_id: str


class Unsubscribe(Operation, frozen=True, kw_only=True):
    """Unsubscribe the recipient of a message."""

    type: str = "delivery"
    action: str = "unsubscribe"
    delivery_id: str
    unsubscribe: bool


class ChangeSegment(Operation, frozen=True, kw_only=True):
    """Add people to a manual segment, or remove them."""

    type: str = "segment"
    segment_id: int
    people: tuple[PersonRef, ...]
    remove: bool


class SubmitForm(Operation, frozen=True, kw_only=True):
    """Submit a form."""

    type: str = "form"
    action: str = "submit"
    form_id: str
    person: PersonRef
