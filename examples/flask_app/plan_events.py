"""Events and attributes of the tracking plan flask-shop.

Made by `trackrelay plan python`. Do not edit: change the plan, and run the command again.
Version 85ccc9a32f79 of the plan.
"""

# fmt: off
# ruff: noqa

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NotRequired, Protocol, TypedDict

import trackrelay
from trackrelay.operations.payloads import Attributes, IdempotencyKey
from trackrelay.operations.refs import ObjectRef, PersonLike
from trackrelay.operations.scalars import Timestamp


class Through(Protocol):
    """What sends the operations: the module `trackrelay`, a pipeline, or an outbox."""

    def track(
        self,
        person: PersonLike,
        name: str,
        data: Attributes | None = None,
        *,
        person_attributes: Attributes | None = None,
        timestamp: Timestamp | None = None,
        idempotency_key: IdempotencyKey = None,
    ) -> str: ...

    def identify(
        self,
        person: PersonLike,
        attributes: Attributes | None = None,
        *,
        anonymous_id: str | None = None,
        timestamp: Timestamp | None = None,
        idempotency_key: IdempotencyKey = None,
    ) -> str: ...

    def identify_object(
        self,
        obj: ObjectRef,
        attributes: Attributes | None = None,
        *,
        idempotency_key: IdempotencyKey = None,
    ) -> str: ...


class PersonAttributes(TypedDict):
    """Attributes of a person."""

    email: NotRequired[str | None]
    """The address for messages."""
    name: NotRequired[str | None]
    """How messages address the customer."""
    unsubscribed: NotRequired[bool | None]
    """Whether the customer wants no news. Only this shop decides about it."""
    last_order_at: NotRequired[datetime | int | None]
    """When the customer placed the latest order."""
    orders_count: NotRequired[int | None]
    """How many orders the customer has placed."""
    lifetime_value: NotRequired[float | Decimal | None]
    """The total of all orders in euros."""


class ProductViewed(TypedDict):
    """A visitor looked at the page of a product."""

    sku: str
    """The number of the product."""
    price: float | Decimal
    """The price in euros."""


class ProductAdded(TypedDict):
    """A visitor put a product into the cart."""

    sku: str
    """The number of the product."""
    price: float | Decimal
    """The price in euros."""


class CheckoutStarted(TypedDict):
    """A visitor or a customer started to check out."""

    cart_value: float | Decimal
    """The total of the cart in euros."""
    skus: Sequence[str]
    """The numbers of the products."""


class OrderCompleted(TypedDict):
    """A customer placed an order. It is sent once for each order."""

    order_number: str
    """The number of the order."""
    total: float | Decimal
    """What the customer paid in euros."""
    skus: Sequence[str]
    """The numbers of the products."""


class OrderCompletedChanges(TypedDict):
    """Attributes that change with order_completed."""

    email: NotRequired[str | None]
    """The address for messages."""
    name: NotRequired[str | None]
    """How messages address the customer."""
    unsubscribed: NotRequired[bool | None]
    """Whether the customer wants no news. Only this shop decides about it."""
    last_order_at: datetime | int | None
    """When the customer placed the latest order."""
    orders_count: int | None
    """How many orders the customer has placed."""
    lifetime_value: float | Decimal | None
    """The total of all orders in euros."""


def product_viewed(
    person: PersonLike,
    data: ProductViewed,
    *,
    person_attributes: PersonAttributes | None = None,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
    through: Through = trackrelay,
) -> str:
    """A visitor looked at the page of a product."""
    return through.track(
        person,
        'product_viewed',
        data,
        person_attributes=person_attributes,
        timestamp=timestamp,
        idempotency_key=idempotency_key,
    )


def product_added(
    person: PersonLike,
    data: ProductAdded,
    *,
    person_attributes: PersonAttributes | None = None,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
    through: Through = trackrelay,
) -> str:
    """A visitor put a product into the cart."""
    return through.track(
        person,
        'product_added',
        data,
        person_attributes=person_attributes,
        timestamp=timestamp,
        idempotency_key=idempotency_key,
    )


def signed_up(
    person: PersonLike,
    data: Attributes | None = None,
    *,
    person_attributes: PersonAttributes | None = None,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
    through: Through = trackrelay,
) -> str:
    """Somebody opened an account."""
    return through.track(
        person,
        'signed_up',
        data,
        person_attributes=person_attributes,
        timestamp=timestamp,
        idempotency_key=idempotency_key,
    )


def checkout_started(
    person: PersonLike,
    data: CheckoutStarted,
    *,
    person_attributes: PersonAttributes | None = None,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
    through: Through = trackrelay,
) -> str:
    """A visitor or a customer started to check out."""
    return through.track(
        person,
        'checkout_started',
        data,
        person_attributes=person_attributes,
        timestamp=timestamp,
        idempotency_key=idempotency_key,
    )


def order_completed(
    person: PersonLike,
    data: OrderCompleted,
    *,
    person_attributes: OrderCompletedChanges | None = None,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
    through: Through = trackrelay,
) -> str:
    """A customer placed an order. It is sent once for each order."""
    return through.track(
        person,
        'order_completed',
        data,
        person_attributes=person_attributes,
        timestamp=timestamp,
        idempotency_key=idempotency_key,
    )


def identify(
    person: PersonLike,
    attributes: PersonAttributes,
    *,
    anonymous_id: str | None = None,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
    through: Through = trackrelay,
) -> str:
    """Create or change a person. None takes an attribute away."""
    return through.identify(
        person,
        attributes,
        anonymous_id=anonymous_id,
        timestamp=timestamp,
        idempotency_key=idempotency_key,
    )
