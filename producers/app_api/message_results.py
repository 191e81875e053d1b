"""What the App API answers about messages.

Deliveries, subscriptions, suppressed addresses, workspaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from .json_fields import Fields

#: Why an email provider suppresses an address.
SuppressionType = Literal["blocks", "bounces", "spam_reports", "invalid_emails"]


@dataclass(frozen=True, slots=True)
class Message:
    """A message to a person, of the last six months."""

    id: str
    #: ``email``, ``webhook``, ``twilio``, ``slack``, ``push``, ``in_app`` or ``whatsapp``.
    type: str | None = None
    recipient: str | None = None
    subject: str | None = None
    #: When it was made, which can be before it was sent; unix time.
    created: int | None = None
    #: Unix times by name, such as ``sent`` and ``delivered``.
    metrics: Mapping[str, int] = field(default_factory=dict)
    failure_message: str | None = None
    customer_id: str | None = None
    campaign_id: int | None = None
    action_id: int | None = None
    newsletter_id: int | None = None
    content_id: int | None = None
    broadcast_id: int | None = None
    deduplicate_id: str | None = None
    #: Whether Customer.io no longer has its content.
    forgotten: bool = False

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read one from an answer."""
        return cls(
            fields.given_text("id"),
            fields.text("type"),
            fields.text("recipient"),
            fields.text("subject"),
            fields.integer("created"),
            fields.integer_mapping("metrics"),
            fields.text("failure_message"),
            fields.text("customer_id"),
            fields.integer("campaign_id"),
            fields.integer("action_id"),
            fields.integer("newsletter_id"),
            fields.integer("content_id"),
            fields.integer("broadcast_id"),
            fields.text("deduplicate_id"),
            fields.boolean("forgotten"),
        )


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic to which a person is subscribed, or not."""

    id: str
    subscribed: bool
    name: str | None = None
    description: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read one from an answer."""
        return cls(
            fields.given_text("id"),
            fields.boolean("subscribed"),
            fields.text("name"),
            fields.text("description"),
        )


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """The subscription preferences of a person."""

    id: str | None
    cio_id: str | None
    email: str | None
    #: Whether the person is unsubscribed from everything.
    unsubscribed: bool
    topics: tuple[Topic, ...]
    #: Title of the subscription page.
    title: str | None = None
    #: Subtitle of the subscription page.
    subtitle: str | None = None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read one from an answer."""
        named = fields.optional_fields("identifiers") or Fields({})
        header = fields.optional_fields("header") or Fields({})
        return cls(
            named.text("id") or fields.text("id"),
            named.text("cio_id"),
            named.text("email"),
            fields.boolean("unsubscribed"),
            tuple(Topic.read(each) for each in fields.objects("topics")),
            header.text("title"),
            header.text("subtitle"),
        )


@dataclass(frozen=True, slots=True)
class EmailSuppression:
    """An address to which the email provider delivers nothing."""

    email: str
    #: ``bounces``, ``spam`` …
    category: str | None = None
    reason: str | None = None
    #: The provider's code, most often ``550``.
    status: str | None = None
    #: Unix time.
    created: int | None = None

    @classmethod
    def read(cls, fields: Fields, category: str | None) -> Self:
        """Read one from an answer."""
        return cls(
            fields.given_text("email"),
            category,
            fields.text("reason"),
            fields.text("status"),
            fields.integer("created"),
        )


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace of the account. Its counts can be two hours old."""

    id: str
    name: str | None = None
    people: int | None = None
    objects: int | None = None
    object_types: int | None = None
    messages_sent: int | None = None
    billable_messages_sent: int | None = None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Read one from an answer."""
        return cls(
            fields.given_text("id"),
            fields.text("name"),
            fields.integer("people"),
            fields.integer("objects"),
            fields.integer("object_types"),
            fields.integer("messages_sent"),
            fields.integer("billable_messages_sent"),
        )


@dataclass(frozen=True, slots=True)
class AttributeMetadata:
    """What the Data Index says about an attribute.

    Attributes:
        name: of the attribute.
        description: its purpose, at most 255 characters.
        privacy_level: 1 if it is sensitive, 0 if not; on Premium plans only.
    """

    name: str
    description: str | None = None
    privacy_level: Literal[0, 1] | None = None


@dataclass(frozen=True, slots=True)
class EventMetadata:
    """What the Data Index says about an event.

    Attributes:
        name: of the event.
        description: its meaning, at most 255 characters.
    """

    name: str
    description: str | None = None
