"""The parts of every operation of the Track API: who and what it is about.

Both versions of the API are read into subclasses of ``Operation``. The modules of the workspace
define them, each with the rule of what it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from .workspace.workspace_state import Outcome, State

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


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """When an operation was accepted: its place in the order, and the time in unix seconds."""

    seq: int
    at: float


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation that is parsed and checked; the subclasses add what each kind needs."""

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

    def apply(self, state: State, arrival: Arrival) -> Outcome:
        """Change the state of the workspace; return what became of the operation."""
        raise NotImplementedError
