"""Builders of operations on people: their attributes, devices and segments.

A builder makes a checked operation and enqueues nothing. Its docstring ends in Returns and Raises:
the functions of :mod:`trackrelay` and :mod:`trackrelay.aio` show it with their own ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from trackrelay.errors import InvalidOperationError

from . import limits
from .operation import Operation
from .payloads import (
    Attributes,
    IdempotencyKey,
    ToObject,
    identify_attributes,
    payload,
    person_identifiers,
    relationships_of,
    several,
)
from .refs import PersonLike
from .refused_operations import RefusedPayload
from .scalars import Timestamp
from .validation import check

__all__ = [
    "add_device",
    "add_to_segment",
    "delete_device",
    "delete_person",
    "identify",
    "merge",
    "remove_from_segment",
    "suppress",
    "unsuppress",
]


def identify(
    person: PersonLike,
    attributes: Attributes | None = None,
    *,
    anonymous_id: str | int | UUID | None = None,
    relationships: ToObject | Iterable[ToObject] = (),
    update_only: bool = False,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Create or update a person.

    Example:
        ``identify("42", {"email": "ada@example.com", "plan": "pro"})``

    Args:
        person: a Person, the person's id, or a user of your framework.
        attributes: at most 300. A name has at most 150 bytes, a value 1,000. None or ``""`` removes
            an attribute.
        anonymous_id: the id that the person had before they logged in. Customer.io assigns the
            anonymous events of the last 30 days to the person.
        relationships: objects that the person belongs to.
        update_only: do nothing if the person does not exist.
        timestamp: when the change happened; default: when the queue accepts it. An older change
            never overwrites a newer one.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    document = payload(
        "person",
        person_identifiers(person),
        "identify",
        timestamp=timestamp,
        attributes=identify_attributes(attributes, anonymous_id, update_only),
        cio_relationships=relationships_of(relationships) or None,
    )
    return check(document, idempotency_key=idempotency_key)


def delete_person(person: PersonLike, *, idempotency_key: IdempotencyKey = None) -> Operation:
    """Delete a person. A later identify or event with the same id creates the person anew.

    Example:
        ``delete_person("42")``

    Args:
        person: a Person, the person's id, or a user of your framework.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    document = payload("person", person_identifiers(person), "delete")
    return check(document, idempotency_key=idempotency_key)


def suppress(person: PersonLike, *, idempotency_key: IdempotencyKey = None) -> Operation:
    """Delete a person and block their identifier: Customer.io ignores what you send for it later.

    Example:
        ``suppress("42")``

    Args:
        person: a Person, the person's id, or a user of your framework.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    document = payload("person", person_identifiers(person), "suppress")
    return check(document, idempotency_key=idempotency_key)


def unsuppress(person: PersonLike, *, idempotency_key: IdempotencyKey = None) -> Operation:
    """Allow a suppressed identifier again.

    Example:
        ``unsuppress("42")``

    Args:
        person: a Person, the person's id, or a user of your framework.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    document = payload("person", person_identifiers(person), "unsuppress")
    return check(document, idempotency_key=idempotency_key)


def merge(
    *, primary: PersonLike, secondary: PersonLike, idempotency_key: IdempotencyKey = None
) -> Operation:
    """Merge one person into another. Customer.io cannot undo a merge.

    Example:
        ``merge(primary="42", secondary=Person(email="ada@example.com"))``

    Args:
        primary: the person who remains, named by id, email or cio_id. If the person does not exist,
            nothing happens.
        secondary: the person who is merged into the primary one and deleted.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    document = {
        "type": "person",
        "action": "merge",
        "primary": person_identifiers(primary),
        "secondary": person_identifiers(secondary),
    }
    return check(document, idempotency_key=idempotency_key)


def add_device(
    person: PersonLike,
    token: str,
    platform: str,
    *,
    last_used: Timestamp | None = None,
    attributes: Attributes | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Add or update a device of a person, for push messages.

    Example:
        ``add_device("42", token, "ios")``

    Args:
        person: a Person, the person's id, or a user of your framework.
        token: the device token.
        platform: ``ios`` or ``android``.
        last_used: when the person last used the device; default: when Customer.io receives it.
        attributes: attributes of the device. Their values become text.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    device = {
        "token": token,
        "platform": platform,
        "last_used": last_used,
        "attributes": attributes,
    }
    document = payload("person", person_identifiers(person), "add_device", device=device)
    return check(document, idempotency_key=idempotency_key)


def delete_device(
    person: PersonLike, token: str, *, idempotency_key: IdempotencyKey = None
) -> Operation:
    """Remove a device from a person.

    Example:
        ``delete_device("42", token)``

    Args:
        person: a Person, the person's id, or a user of your framework.
        token: the device token.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    device = {"token": token}
    document = payload("person", person_identifiers(person), "delete_device", device=device)
    return check(document, idempotency_key=idempotency_key)


def add_to_segment(
    segment_id: int | str,
    people: PersonLike | Iterable[PersonLike],
    *,
    idempotency_key: IdempotencyKey = None,
) -> tuple[Operation, ...]:
    """Add people to a manual segment, by one operation for each person.

    Example:
        ``add_to_segment(7, ["42", "43"])``

    Args:
        segment_id: the id of an existing segment.
        people: one person or several, named by id, email or cio_id.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operations, one for each person.

    Raises:
        InvalidOperationError: Customer.io would refuse one of them.
    """
    return _segment("add", segment_id, people, idempotency_key)


def remove_from_segment(
    segment_id: int | str,
    people: PersonLike | Iterable[PersonLike],
    *,
    idempotency_key: IdempotencyKey = None,
) -> tuple[Operation, ...]:
    """Remove people from a manual segment, by one operation for each person.

    Example:
        ``remove_from_segment(7, ["42", "43"])``

    Args:
        segment_id: the id of an existing segment.
        people: one person or several, named by id, email or cio_id.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operations, one for each person.

    Raises:
        InvalidOperationError: Customer.io would refuse one of them.
    """
    return _segment("remove", segment_id, people, idempotency_key)


def _segment(
    action: str,
    segment_id: int | str,
    people: PersonLike | Iterable[PersonLike],
    idempotency_key: IdempotencyKey,
) -> tuple[Operation, ...]:
    segment = {"segment_id": segment_id}
    # One more than the limit tells whether there are too many.
    everybody = several(people, limits.PEOPLE + 1)
    if len(everybody) > limits.PEOPLE:
        raise InvalidOperationError(
            f"the people are more than {limits.PEOPLE:,}; call it for some at a time",
            field="people",
            limit=f"{limits.PEOPLE:,} people",
            actual=f"more than {limits.PEOPLE:,}",
        )
    made: list[Operation] = []
    parts: list[Operation | RefusedPayload] = []
    refusal: InvalidOperationError | None = None
    for person in everybody:
        document = payload("segment", segment, action, person=person_identifiers(person))
        try:
            made.append(check(document, idempotency_key=idempotency_key))
            parts.append(made[-1])
        except InvalidOperationError as error:
            parts += error.parts
            if refusal is None:
                refusal = error
            else:
                # The parts keep the errors. With its frames, each would take 6 kB.
                error.__traceback__ = error.__context__ = error.__cause__ = None
    if refusal is not None:
        refusal.parts = tuple(parts)
        raise refusal
    return tuple(made)
