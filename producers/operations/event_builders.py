"""Builders of operations for what happened: events, forms, and what became of messages."""

from __future__ import annotations

from uuid import UUID

import msgspec

from trackrelay.errors import InvalidOperationError

from .ids import companion_id
from .operation import Operation
from .payloads import Attributes, IdempotencyKey, payload, person_identifiers
from .refs import PersonLike
from .refused_operations import RefusedPayload
from .scalars import Timestamp
from .validation import check

__all__ = [
    "page",
    "report_metric",
    "screen",
    "submit_form",
    "track",
    "track_anonymous",
    "unsubscribe",
]


def track(
    person: PersonLike,
    name: str,
    data: Attributes | None = None,
    *,
    person_attributes: Attributes | None = None,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Send an event of a person.

    Example:
        ``track("42", "order_completed", {"order_id": "A-1", "total": 42.5})``

    Args:
        person: a Person, the person's id, or a user of your framework.
            ``Person(anonymous_id=…)`` names a visitor whom you do not know yet.
        name: the name of the event, at most 100 bytes.
        data: the data of the event, at most 100,000 bytes of JSON.
        person_attributes: attributes of the person that change with the event. They are delivered
            just before it.
        timestamp: when the event happened; default: when the queue accepts it.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    return _event("event", person, name, data, person_attributes, timestamp, idempotency_key)


def page(
    person: PersonLike,
    name: str,
    data: Attributes | None = None,
    *,
    person_attributes: Attributes | None = None,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Send a page view of a person.

    Example:
        ``page("42", "https://example.com/pricing", {"title": "Pricing"})``

    Args:
        person: a Person, the person's id, or a user of your framework.
            ``Person(anonymous_id=…)`` names a visitor whom you do not know yet.
        name: the name or the URL of the page, at most 100 bytes.
        data: the data of the page view, at most 100,000 bytes of JSON.
        person_attributes: attributes of the person that change with the page view. They are
            delivered just before it.
        timestamp: when it happened; default: when the queue accepts it.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    return _event("page", person, name, data, person_attributes, timestamp, idempotency_key)


def screen(
    person: PersonLike,
    name: str,
    data: Attributes | None = None,
    *,
    person_attributes: Attributes | None = None,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Send a screen view of a person in a mobile app.

    Example:
        ``screen("42", "checkout")``

    Args:
        person: a Person, the person's id, or a user of your framework.
            ``Person(anonymous_id=…)`` names a visitor whom you do not know yet.
        name: the name of the screen, at most 100 bytes.
        data: the data of the screen view. For a known person the whole operation has at most
            32,000 bytes.
        person_attributes: attributes of the person that change with the screen view. They are
            delivered just before it.
        timestamp: when it happened; default: when the queue accepts it.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    return _event("screen", person, name, data, person_attributes, timestamp, idempotency_key)


def track_anonymous(
    anonymous_id: str | int | UUID | None,
    name: str,
    data: Attributes | None = None,
    *,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Send an event of a visitor whom you do not know yet.

    Example:
        ``track_anonymous(cookie_id, "viewed", {"sku": "A-1"})``

    Args:
        anonymous_id: the id of the visitor, for example from a cookie. None makes the event an
            invite to the address in ``data["recipient"]``.
        name: the name of the event, at most 100 bytes.
        data: the data of the event, at most 100,000 bytes of JSON.
        timestamp: when the event happened; default: when the queue accepts it.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    identifiers = {} if anonymous_id is None else {"anonymous_id": anonymous_id}
    document = payload(
        "anonymous", identifiers, "event", name=name, timestamp=timestamp, attributes=data
    )
    return check(document, idempotency_key=idempotency_key)


def submit_form(
    form_id: str | int | UUID,
    person: PersonLike,
    fields: Attributes | None = None,
    *,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Send a form that a person filled in.

    Example:
        ``submit_form("contact", "42", {"topic": "invoice"})``

    Args:
        form_id: the id of the form, which you choose. Customer.io creates an unknown form.
        person: who filled it in, named by id or email. Customer.io creates an unknown person.
        fields: the values of the form. Numbers, booleans and times become text.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    document = {
        "type": "form",
        "action": "submit",
        "identifiers": {"form_id": form_id},
        "person": person_identifiers(person),
        "attributes": fields,
    }
    return check(document, idempotency_key=idempotency_key)


def unsubscribe(delivery_id: str, *, idempotency_key: IdempotencyKey = None) -> Operation:
    """Report that the recipient of a message unsubscribed on a page of yours.

    Example:
        ``unsubscribe(delivery_id)``

    Args:
        delivery_id: the CIO-Delivery-ID of the message.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    document = payload("delivery", {"id": delivery_id}, "unsubscribe")
    return check(document, idempotency_key=idempotency_key)


def report_metric(
    delivery_id: str,
    metric: str,
    *,
    recipient: str | int | None = None,
    reason: str | None = None,
    href: str | None = None,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Report what happened to a message, where Customer.io cannot see it.

    Example:
        ``report_metric(delivery_id, "bounced", recipient="ada@example.com")``

    Args:
        delivery_id: the CIO-Delivery-ID of the message.
        metric: bounced, clicked, converted, deferred, delivered, dropped, opened or spammed.
        recipient: the address, device token or phone number that the message went to.
        reason: why it failed.
        href: the link that was clicked.
        timestamp: when it happened; default: when the queue accepts it.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    document = payload(
        "delivery",
        {"id": delivery_id},
        "metric",
        name=metric,
        recipient=recipient,
        reason=reason,
        href=href,
        timestamp=timestamp,
    )
    return check(document, idempotency_key=idempotency_key)


def _event(
    action: str,
    person: PersonLike,
    name: str,
    data: Attributes | None,
    person_attributes: Attributes | None,
    timestamp: Timestamp | None,
    idempotency_key: IdempotencyKey,
) -> Operation:
    who = person_identifiers(person)
    type = "anonymous" if "anonymous_id" in who else "person"
    document = payload(type, who, action, name=name, timestamp=timestamp, attributes=data)
    event = check(document, idempotency_key=idempotency_key)
    if person_attributes is None:
        return event
    # The companion has the time of the event, so that an old event never overwrites a newer
    # attribute.
    companion = payload(
        "person", who, "identify", timestamp=timestamp, attributes=person_attributes
    )
    try:
        if type == "anonymous":
            raise InvalidOperationError(
                "person_attributes needs a known person; an anonymous one has no attributes yet",
                field="person_attributes",
                limit="a known person",
                actual="an anonymous person",
            )
        checked = check(companion, id=companion_id(event.id), idempotency_key=event.idempotency_key)
    except InvalidOperationError as error:
        # Neither is enqueued without the other.
        error.parts = (
            RefusedPayload(companion, idempotency_key),
            RefusedPayload(document, idempotency_key),
        )
        raise
    return msgspec.structs.replace(event, companion=checked)
