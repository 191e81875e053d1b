"""Builders of operations on objects and relationships, and of raw operations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .operation import Operation
from .payloads import (
    Attributes,
    IdempotencyKey,
    Others,
    ToPerson,
    object_behind,
    object_identifiers,
    payload,
    person_identifiers,
    relationships_of,
)
from .refs import ObjectRef, PersonLike
from .validation import check

__all__ = [
    "add_relationships",
    "delete_object",
    "delete_relationships",
    "entity",
    "identify_object",
]


def identify_object(
    obj: ObjectRef,
    attributes: Attributes | None = None,
    *,
    relationships: ToPerson | Iterable[ToPerson] = (),
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Create or update an object, such as a company.

    Example:
        ``identify_object(ObjectRef("1", "acme"), {"name": "Acme"}, relationships=["42"])``

    Args:
        obj: the object. One that is named by cio_object_id must exist.
        attributes: at most 300. A name has at most 150 bytes, a value 1,000. None or ``""`` removes
            an attribute.
        relationships: people who belong to the object, named by id, email or cio_id.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    document = payload(
        "object",
        object_identifiers(obj),
        "identify",
        attributes=attributes,
        cio_relationships=relationships_of(relationships) or None,
    )
    return check(document, idempotency_key=idempotency_key)


def delete_object(obj: ObjectRef, *, idempotency_key: IdempotencyKey = None) -> Operation:
    """Delete an object and its relationships.

    Example:
        ``delete_object(ObjectRef("1", "acme"))``

    Args:
        obj: the object.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    document = payload("object", object_identifiers(obj), "delete")
    return check(document, idempotency_key=idempotency_key)


def add_relationships(
    subject: PersonLike | ObjectRef,
    others: Others,
    *,
    attributes: Attributes | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Relate a person to objects, or an object to people.

    Example:
        ``add_relationships("42", ObjectRef("1", "acme"), attributes={"role": "admin"})``

    Args:
        subject: a person or an object.
        others: one object or person, or several. ``(other, {…})`` gives a relationship its own
            attributes.
        attributes: the attributes of each relationship that has none of its own.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    return _relate(
        subject, "add_relationships", relationships_of(others, attributes), idempotency_key
    )


def delete_relationships(
    subject: PersonLike | ObjectRef,
    others: Others,
    *,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Remove relationships between a person and objects, or an object and people.

    Example:
        ``delete_relationships("42", ObjectRef("1", "acme"))``

    Args:
        subject: a person or an object.
        others: one object or person, or several.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    return _relate(subject, "delete_relationships", relationships_of(others), idempotency_key)


def entity(operation: Attributes, *, idempotency_key: IdempotencyKey = None) -> Operation:
    """Send a raw operation of the Track API's v2. It is checked like any other.

    Example:
        ``entity({"type": "person", "action": "delete", "identifiers": {"id": "42"}})``

    Args:
        operation: the operation as the Track API documents it.
        idempotency_key: your own name for this call, 1 to 255 characters. A repeated call with the
            same key is the same job, and is delivered once.

    Returns:
        The operation.

    Raises:
        InvalidOperationError: Customer.io would refuse it.
    """
    return check(operation, idempotency_key=idempotency_key)


def _relate(
    subject: PersonLike | ObjectRef,
    action: str,
    relationships: list[dict[str, Any]],
    idempotency_key: IdempotencyKey,
) -> Operation:
    obj = object_behind(subject)
    if obj is None:
        type, identifiers = "person", person_identifiers(subject)  # type: ignore[arg-type]
    else:
        type, identifiers = "object", obj.identifiers
    document = payload(type, identifiers, action, cio_relationships=relationships)
    return check(document, idempotency_key=idempotency_key)
