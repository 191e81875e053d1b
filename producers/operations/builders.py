"""The vocabulary: each function makes one checked operation, and none of them enqueues it.

All take ``idempotency_key=``: the caller's own name for the call, 1 to 255 characters; the same key is the same job.
All raise :class:`~trackrelay.InvalidOperationError`, with field, limit and actual, for what Customer.io would refuse.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias
from uuid import UUID

import msgspec

from trackrelay.errors import InvalidOperationError

from . import limits
from .coercion import Timestamp
from .ids import companion_id
from .operation import Operation
from .payloads import (
    Attributes,
    Others,
    ToObject,
    ToPerson,
    identify_attributes,
    is_object,
    object_identifiers,
    payload,
    person_identifiers,
    several,
)
from .payloads import (
    relationships as to,
)
from .refs import ObjectRef, PersonLike
from .refused_operations import RefusedPayload
from .validation import check

IdempotencyKey: TypeAlias = str | int | UUID | None


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
    """Add or update a person.

    Args:
        person: who: their id, or a Person.
        attributes: up to 300, names up to 150 bytes, values up to 1,000; None or ``""`` takes one away.
        anonymous_id: who they were before they were known: their anonymous events of the last 30 days become theirs.
        relationships: objects they belong to.
        update_only: do nothing if there is no such person.
        timestamp: when the change happened; left out, when the queue took it. An older change never overwrites a newer.
    """
    made = payload(
        "person",
        person_identifiers(person),
        "identify",
        timestamp=timestamp,
        attributes=identify_attributes(attributes, anonymous_id, update_only),
        cio_relationships=to(relationships) or None,
    )
    return check(made, idempotency_key=idempotency_key)


def track(
    person: PersonLike,
    name: str,
    data: Attributes | None = None,
    *,
    person_attributes: Attributes | None = None,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Something a person did.

    Args:
        person: who: their id, or a Person; ``Person(anonymous_id=…)`` for somebody not yet known.
        name: the event's name, up to 100 bytes.
        data: what belongs to it, up to 100,000 bytes of JSON.
        person_attributes: attributes of the person that change with it, delivered just ahead of it.
        timestamp: when it happened; left out, when the queue took it.
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
    """A page a person looked at; arguments as for :func:`track`."""
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
    """A screen of a mobile app a person looked at; arguments as for :func:`track`, but of a known person the whole
    operation is at most 32,000 bytes."""
    return _event("screen", person, name, data, person_attributes, timestamp, idempotency_key)


def track_anonymous(
    anonymous_id: str | int | UUID | None,
    name: str,
    data: Attributes | None = None,
    *,
    timestamp: Timestamp | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Something somebody did who is not yet known.

    Args:
        anonymous_id: who, e.g. from a cookie; None makes it an invite to ``data["recipient"]``.
        name: the event's name, up to 100 bytes.
        data: what belongs to it, up to 100,000 bytes of JSON.
        timestamp: when it happened; left out, when the queue took it.
    """
    identifiers = {} if anonymous_id is None else {"anonymous_id": anonymous_id}
    made = payload(
        "anonymous", identifiers, "event", name=name, timestamp=timestamp, attributes=data
    )
    return check(made, idempotency_key=idempotency_key)


def delete_person(person: PersonLike, *, idempotency_key: IdempotencyKey = None) -> Operation:
    """Delete a person. Whatever is sent for the same id afterwards creates them anew."""
    return check(
        payload("person", person_identifiers(person), "delete"), idempotency_key=idempotency_key
    )


def suppress(person: PersonLike, *, idempotency_key: IdempotencyKey = None) -> Operation:
    """Delete a person and let nobody add their identifier again: Customer.io swallows what is sent for it."""
    return check(
        payload("person", person_identifiers(person), "suppress"), idempotency_key=idempotency_key
    )


def unsuppress(person: PersonLike, *, idempotency_key: IdempotencyKey = None) -> Operation:
    """Let a suppressed identifier be used again."""
    return check(
        payload("person", person_identifiers(person), "unsuppress"), idempotency_key=idempotency_key
    )


def merge(
    *, primary: PersonLike, secondary: PersonLike, idempotency_key: IdempotencyKey = None
) -> Operation:
    """Merge one person into another; there is no way back.

    Args:
        primary: who remains, named by id, email or cio_id; must exist already, or nothing happens.
        secondary: who is merged into them and deleted.
    """
    made = {
        "type": "person",
        "action": "merge",
        "primary": person_identifiers(primary),
        "secondary": person_identifiers(secondary),
    }
    return check(made, idempotency_key=idempotency_key)


def add_device(
    person: PersonLike,
    token: str,
    platform: str,
    *,
    last_used: Timestamp | None = None,
    attributes: Attributes | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Add or update a device of a person's, for push messages.

    Args:
        token: the device's token.
        platform: ``ios`` or ``android``.
        last_used: when the person last used it; left out, when Customer.io hears of it.
        attributes: of the device; all become text.
    """
    device = {
        "token": token,
        "platform": platform,
        "last_used": last_used,
        "attributes": attributes,
    }
    return check(
        payload("person", person_identifiers(person), "add_device", device=device),
        idempotency_key=idempotency_key,
    )


def delete_device(
    person: PersonLike, token: str, *, idempotency_key: IdempotencyKey = None
) -> Operation:
    """Take a device away from a person."""
    made = payload("person", person_identifiers(person), "delete_device", device={"token": token})
    return check(made, idempotency_key=idempotency_key)


def identify_object(
    obj: ObjectRef,
    attributes: Attributes | None = None,
    *,
    relationships: ToPerson | Iterable[ToPerson] = (),
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Add or update an object.

    Args:
        obj: which; one named by cio_object_id must exist already.
        attributes: up to 300, names up to 150 bytes, values up to 1,000; None or ``""`` takes one away.
        relationships: people who belong to it, named by id, email or cio_id.
    """
    made = payload(
        "object",
        object_identifiers(obj),
        "identify",
        attributes=attributes,
        cio_relationships=to(relationships) or None,
    )
    return check(made, idempotency_key=idempotency_key)


def delete_object(obj: ObjectRef, *, idempotency_key: IdempotencyKey = None) -> Operation:
    """Delete an object and its relationships."""
    return check(
        payload("object", object_identifiers(obj), "delete"), idempotency_key=idempotency_key
    )


def add_relationships(
    subject: PersonLike | ObjectRef,
    others: Others,
    *,
    attributes: Attributes | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Relate a person to objects, or an object to people.

    Args:
        subject: a person, or an object.
        others: one or several objects, or people; each alone or with attributes of its own, ``(other, {…})``.
        attributes: of every relationship that brings none of its own.
    """
    return _relate(subject, "add_relationships", others, attributes, idempotency_key)


def delete_relationships(
    subject: PersonLike | ObjectRef,
    others: Others,
    *,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """Undo what :func:`add_relationships` did."""
    return _relate(subject, "delete_relationships", others, None, idempotency_key)


def add_to_segment(
    segment_id: int | str,
    people: PersonLike | Iterable[PersonLike],
    *,
    idempotency_key: IdempotencyKey = None,
) -> tuple[Operation, ...]:
    """Put people into a manual segment: an operation each, so that each is in order with what else is sent for them.

    Args:
        segment_id: a segment that exists.
        people: one or several, named by id, email or cio_id.
    """
    return _segment("add", segment_id, people, idempotency_key)


def remove_from_segment(
    segment_id: int | str,
    people: PersonLike | Iterable[PersonLike],
    *,
    idempotency_key: IdempotencyKey = None,
) -> tuple[Operation, ...]:
    """Take people out of a manual segment; arguments as for :func:`add_to_segment`."""
    return _segment("remove", segment_id, people, idempotency_key)


def submit_form(
    form_id: str | int | UUID,
    person: PersonLike,
    fields: Attributes | None = None,
    *,
    idempotency_key: IdempotencyKey = None,
) -> Operation:
    """A person filled in a form.

    Args:
        form_id: yours to choose; one Customer.io does not know is made.
        person: who, named by id or email; created if there is no such person.
        fields: what they filled in; numbers, truths and times become text.
    """
    made = {
        "type": "form",
        "action": "submit",
        "identifiers": {"form_id": form_id},
        "person": person_identifiers(person),
        "attributes": fields,
    }
    return check(made, idempotency_key=idempotency_key)


def unsubscribe(delivery_id: str, *, idempotency_key: IdempotencyKey = None) -> Operation:
    """The recipient of a delivery unsubscribed, by a page of your own."""
    return check(
        payload("delivery", {"id": delivery_id}, "unsubscribe"), idempotency_key=idempotency_key
    )


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
    """What became of a message that Customer.io cannot see for itself.

    Args:
        delivery_id: the message's CIO-Delivery-ID.
        metric: bounced, clicked, converted, deferred, delivered, dropped, opened or spammed.
        recipient: whom it went to: an address, a device's token, a phone number.
        reason: of a failure.
        href: the link that was clicked.
        timestamp: when it happened; left out, when the queue took it.
    """
    made = payload(
        "delivery",
        {"id": delivery_id},
        "metric",
        name=metric,
        recipient=recipient,
        reason=reason,
        href=href,
        timestamp=timestamp,
    )
    return check(made, idempotency_key=idempotency_key)


def entity(operation: Attributes, *, idempotency_key: IdempotencyKey = None) -> Operation:
    """A raw operation of the Track API's v2, checked like any other."""
    return check(operation, idempotency_key=idempotency_key)


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
    made = payload(type, who, action, name=name, timestamp=timestamp, attributes=data)
    event = check(made, idempotency_key=idempotency_key)
    if person_attributes is None:
        return event
    # With the event's own time, so that an old event never overwrites what is newer.
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
        # They belong together: neither goes ahead of the other.
        error.parts = (
            RefusedPayload(companion, idempotency_key),
            RefusedPayload(made, idempotency_key),
        )
        raise
    return msgspec.structs.replace(event, companion=checked)


def _relate(
    subject: PersonLike | ObjectRef,
    action: str,
    others: Others,
    attributes: Attributes | None,
    idempotency_key: IdempotencyKey,
) -> Operation:
    if is_object(subject):
        type, whose = "object", subject.identifiers
    else:
        type, whose = "person", person_identifiers(subject)  # type: ignore[arg-type]
    return check(
        payload(type, whose, action, cio_relationships=to(others, attributes)),
        idempotency_key=idempotency_key,
    )


def _segment(
    action: str,
    segment_id: int | str,
    people: PersonLike | Iterable[PersonLike],
    idempotency_key: IdempotencyKey,
) -> tuple[Operation, ...]:
    segment = {"segment_id": segment_id}
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
            refusal = refusal or error
            parts += error.parts
    if refusal is not None:
        refusal.parts = tuple(parts)
        raise refusal
    return tuple(made)
