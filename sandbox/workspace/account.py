"""What the App API tells about the account: messages, topics, object types, metadata, ESP."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import msgspec

#: The reasons of the email service provider, each with the category that an answer names.
ESP_CATEGORIES = {
    "bounces": "bounces",
    "blocks": "bounces",
    "invalid_emails": "bounces",
    "spam_reports": "spam",
}
#: The activities about messages that reports make.
MESSAGE_ACTIVITIES = frozenset(
    {
        *(f"{metric}_email" for metric in ("bounced", "clicked", "converted", "deferred")),
        *(f"{metric}_email" for metric in ("delivered", "dropped", "opened", "sent", "spammed")),
        *(f"{metric}_push" for metric in ("bounced", "clicked", "deferred", "delivered")),
        *(f"{metric}_push" for metric in ("dropped", "opened", "sent")),
        *(f"{metric}_in_app" for metric in ("clicked", "converted", "deferred", "opened", "sent")),
        "unsubscribed_email",
    }
)


class Delivery(msgspec.Struct):
    """What was reported about one message. The sandbox itself sends no messages."""

    metrics: Counter[str]
    unsubscribed: bool = False
    #: Key of the recipient, if the sandbox was told: an unsubscribe then reaches this person.
    person_key: str | None = None
    #: When the message was created, and the time of the first report of each metric.
    created: int = 0
    times: dict[str, int] = msgspec.field(default_factory=dict)
    #: The other fields of the message, as the App API shows them.
    fields: dict[str, Any] = msgspec.field(default_factory=dict)


class Topic(msgspec.Struct, forbid_unknown_fields=True):
    """A topic of the subscription center."""

    id: str
    name: str
    description: str = ""
    #: Whether people without a preference are subscribed.
    subscribed: bool = True
    #: By language: ``name`` and ``description``.
    translations: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)


class ObjectType(msgspec.Struct, forbid_unknown_fields=True):
    """The names of an object type."""

    name: str
    singular_name: str = ""
    slug: str = ""
    singular_slug: str = ""
    enabled: bool = True
    icon: str = "cube"


class EspSuppression(msgspec.Struct, forbid_unknown_fields=True):
    """An address that the email service provider suppressed."""

    email: str
    type: str
    domain: str = "example.com"
    reason: str = "suppressed by the sandbox"
    status: str = "550"
    created: int = 0

    def __post_init__(self) -> None:
        """Check the type.

        Raises:
            ValueError: The type is none of the email service provider's reasons.
        """
        if self.type not in ESP_CATEGORIES:
            raise ValueError(
                f"type is {self.type!r}; it must be one of {', '.join(ESP_CATEGORIES)}"
            )


class Account:
    """The parts of a workspace that only the control endpoints and the App API change."""

    def __init__(self) -> None:
        #: By delivery id.
        self.deliveries: dict[str, Delivery] = defaultdict(lambda: Delivery(Counter()))
        self.topics: list[Topic] = []
        #: Title and subtitle of the subscription center.
        self.header = {"title": "Manage your subscription preferences", "subtitle": ""}
        #: By object type id.
        self.object_types: dict[str, ObjectType] = {}
        self.esp_suppressions: list[EspSuppression] = []
        #: By kind, attributes or events, and by name: the metadata.
        self.metadata: dict[str, dict[str, Any]] = {"attributes": {}, "events": {}}
