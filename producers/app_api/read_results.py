"""What the App API answers: people, objects, segments, activities and the rest."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.refs import ObjectRef, Person

from .json_fields import Fields


@dataclass(frozen=True, slots=True)
class PersonMatch:
    """A person whom a search found."""

    #: Customer.io's own id.
    cio_id: str
    #: Your id; None if the person has none.
    id: str | None = None
    #: None if the person has none, or if the workspace does not identify people by email.
    email: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read one from an answer."""
        # In places, Customer.io gives "" to people without an id.
        return cls(
            fields.given_text("cio_id"), fields.text("id") or None, fields.text("email") or None
        )

    @property
    def person(self) -> Person:
        """The person, for further reads: by your id, or by Customer.io's if there is none."""
        if self.id:
            with suppress(InvalidOperationError):
                return Person(id=self.id)
        return Person(cio_id=self.cio_id)


@dataclass(frozen=True, slots=True)
class Device:
    """A device of a person."""

    #: The device's token.
    id: str
    #: ``ios`` or ``android``.
    platform: str | None = None
    #: Unix time.
    last_used: int | None = None
    #: As given, in most cases texts.
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read one from an answer."""
        return cls(
            fields.given_text("id"),
            fields.text("platform"),
            fields.integer("last_used"),
            fields.mapping("attributes"),
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """A person with attributes and devices."""

    #: None if the person has none.
    id: str | None
    #: None only if the answer names the person by id alone.
    cio_id: str | None
    email: str | None
    #: Text, whatever was sent: ``"true"``, ``"1700000000"``. Attributes without a value are absent.
    attributes: Mapping[str, str]
    #: When each attribute was set, as unix times. Customer.io deprecates them.
    timestamps: Mapping[str, int]
    #: Whether the person is unsubscribed from everything.
    unsubscribed: bool
    devices: tuple[Device, ...] = ()

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read one from an answer."""
        attributes = fields.text_mapping("attributes")
        named = fields.optional_fields("identifiers")
        names = {
            name: (named.text(name) if named else None) or attributes.get(name)
            for name in ("id", "cio_id", "email")
        }
        return cls(
            names["id"] or fields.text("id") or None,
            names["cio_id"],
            names["email"] or None,
            attributes,
            fields.integer_mapping("timestamps"),
            fields.boolean("unsubscribed"),
            tuple(Device.read(each) for each in fields.objects("devices")),
        )


@dataclass(frozen=True, slots=True)
class RelatedObject:
    """An object to which a person is related."""

    object_type_id: str
    object_id: str | None
    cio_object_id: str | None
    #: Of the relationship, as given.
    attributes: Mapping[str, Any] = field(default_factory=dict)
    #: When each attribute of the relationship was set, as unix times.
    timestamps: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read one from an answer."""
        named = fields.fields("identifiers")
        return cls(
            fields.given_text("object_type_id"),
            named.text("object_id") or named.text("id"),
            named.text("cio_object_id"),
            fields.mapping("attributes"),
            fields.integer_mapping("timestamps"),
        )


@dataclass(frozen=True, slots=True)
class RelatedPerson:
    """A person who is related to an object."""

    object_type_id: str | None
    cio_id: str | None
    id: str | None
    email: str | None
    #: Whether the object's type is disabled.
    object_type_disabled: bool = False
    #: Of the relationship, if the answer has them.
    attributes: Mapping[str, Any] = field(default_factory=dict)
    #: When each attribute of the relationship was set, as unix times.
    timestamps: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read one from an answer."""
        named = fields.fields("identifiers")
        return cls(
            fields.text("object_type_id"),
            named.text("cio_id"),
            named.text("id") or None,
            named.text("email") or None,
            fields.boolean("object_type_disabled"),
            fields.mapping("attributes"),
            fields.integer_mapping("timestamps"),
        )


@dataclass(frozen=True, slots=True)
class ObjectMatch:
    """An object that a search found."""

    object_type_id: str
    object_id: str | None
    cio_object_id: str | None

    @property
    def object(self) -> ObjectRef:
        """The object, for further reads."""
        if self.object_id:
            return ObjectRef(self.object_type_id, self.object_id)
        return ObjectRef(cio_object_id=self.cio_object_id)


@dataclass(frozen=True, slots=True)
class ObjectProfile:
    """An object with its attributes."""

    object_type_id: str | None
    object_id: str | None
    cio_object_id: str | None
    #: As given: their types are not described.
    attributes: Mapping[str, Any]
    #: When each attribute was set, as unix times.
    timestamps: Mapping[str, int]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read one from an answer."""
        named = fields.optional_fields("identifiers") or Fields({})
        return cls(
            fields.text("object_type_id"),
            # The description calls it `id` here, and `object_id` everywhere else.
            named.text("object_id") or named.text("id"),
            named.text("cio_object_id"),
            fields.mapping("attributes"),
            fields.integer_mapping("timestamps"),
        )


@dataclass(frozen=True, slots=True)
class ObjectType:
    """A type of objects in the workspace."""

    id: str
    name: str | None = None
    singular_name: str | None = None
    slug: str | None = None
    singular_slug: str | None = None
    enabled: bool = True
    icon: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read one from an answer."""
        return cls(
            fields.given_text("id"),
            fields.text("name"),
            fields.text("singular_name"),
            fields.text("slug"),
            fields.text("singular_slug"),
            fields.boolean("enabled", True),
            fields.text("icon"),
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment. The segments of a person have only ``id``, ``name`` and ``description``."""

    id: int
    name: str | None = None
    description: str | None = None
    #: ``dynamic`` or ``manual``.
    type: str | None = None
    #: ``finished``, or while it is built ``events``, ``build``, ``events_queued`` or
    #: ``build_queued``.
    state: str | None = None
    #: How much of it is built, in percent; None if it is finished.
    progress: int | None = None
    tags: tuple[str, ...] = ()
    #: Unix time.
    created_at: int | None = None
    #: Unix time.
    updated_at: int | None = None
    deduplicate_id: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read one from an answer."""
        return cls(
            fields.given_integer("id"),
            fields.text("name"),
            fields.text("description"),
            fields.text("type"),
            fields.text("state"),
            fields.integer("progress"),
            fields.texts("tags"),
            fields.integer("created_at"),
            fields.integer("updated_at"),
            fields.text("deduplicate_id"),
        )


@dataclass(frozen=True, slots=True)
class Activity:
    """Something that a person did, or that was done for a person."""

    id: str
    #: ``event``, ``attribute_change``, ``failed_event``, ``sent_email`` …
    type: str
    #: Unix time.
    timestamp: int
    #: Of the event, for ``event`` and ``screen``.
    name: str | None = None
    #: Of the page, for ``page``.
    url: str | None = None
    #: Your id for the person.
    customer_id: str | None = None
    cio_id: str | None = None
    email: str | None = None
    #: As given; of an attribute change: ``{"plan": {"from": "free", "to": "pro"}}``.
    data: Mapping[str, Any] = field(default_factory=dict)
    delivery_id: str | None = None
    delivery_type: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read one from an answer."""
        named = fields.optional_fields("customer_identifiers") or Fields({})
        return cls(
            fields.given_text("id"),
            fields.given_text("type"),
            fields.given_time("timestamp"),
            fields.text("name"),
            fields.text("url"),
            named.text("id") or fields.text("customer_id") or None,
            named.text("cio_id"),
            named.text("email"),
            fields.mapping("data"),
            fields.text("delivery_id"),
            fields.text("delivery_type"),
        )

    @property
    def at(self) -> datetime:
        """When it happened, in UTC."""
        return datetime.fromtimestamp(self.timestamp, UTC)
