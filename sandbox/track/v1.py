"""Readers of v1 requests: each returns the operation that a request asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import JsonObject, Operation, PersonRef, person_ref
from trackrelay.sandbox.workspace.event_operations import Event, ReportMetric, Unsubscribe
from trackrelay.sandbox.workspace.identify_operations import Identify, SubmitForm
from trackrelay.sandbox.workspace.object_operations import ChangeSegment
from trackrelay.sandbox.workspace.person_operations import (
    AddDevice,
    DeleteDevice,
    DeletePerson,
    Merge,
    Suppress,
    Unsuppress,
)

from . import v1_parts as parts
from . import v2_parts
from .track_messages import RefusalError, Request
from .v2 import DELIVERY_METRICS, identify_keys

METRICS = (
    "bounced",
    "clicked",
    "converted",
    "deferred",
    "delivered",
    "dropped",
    "opened",
    "spammed",
)
RESERVED_FORM_FIELDS = frozenset(
    {"form_id", "form_name", "form_type", "form_url", "form_url_param"}
)
#: These control the identify and are no attributes.
_IDENTIFY_CONTROLS = frozenset({"_timestamp", "_update", "cio_relationships"})


def identify(request: Request) -> Operation:
    """Read PUT /customers/{identifier}."""
    person = parts.path_person(request.segments[3])
    payload = parts.person_attributes(parts.json_object(request.json()))
    related, remove = parts.relationships(payload)
    attributes = {name: value for name, value in payload.items() if name not in _IDENTIFY_CONTROLS}
    return Identify(
        keys=identify_keys(person.key, attributes),
        person=person,
        timestamp=parts.timestamp(payload, "_timestamp"),
        attributes=attributes,
        relationships=related,
        remove_relationships=remove,
        update_only=parts.flag(payload, "_update"),
    )


def simple(
    kind: type[DeletePerson] | type[Suppress] | type[Unsuppress],
) -> Callable[[Request], Operation]:
    """Return the reader of DELETE /customers/{identifier}, POST …/suppress or …/unsuppress."""

    def read(request: Request) -> Operation:
        person = parts.path_person(request.segments[3])
        return kind(keys=(person.key,), person=person)

    return read


def event(request: Request) -> Operation:
    """Read POST /customers/{identifier}/events."""
    person = parts.path_person(request.segments[3])
    return _event(parts.json_object(request.json()), person)


def anonymous_event(request: Request) -> Operation:
    """Read POST /events: an anonymous event, or an invite, which needs a recipient."""
    payload = parts.json_object(request.json())
    anonymous_id = parts.text(payload, "anonymous_id")
    if anonymous_id and anonymous_id.strip():
        return _event(payload, person_ref("anonymous_id", anonymous_id))
    event = _event(payload, None)
    if not (event.attributes or {}).get("recipient"):
        raise RefusalError("", "an event without anonymous_id must have a recipient in its data")
    return event


def _event(payload: JsonObject, person: PersonRef | None) -> Event:
    return Event(
        action=parts.event_type(payload),
        keys=(person.key,) if person else (),
        person=person,
        name=parts.event_name(payload),
        id=parts.event_id(payload),
        timestamp=parts.timestamp(payload),
        attributes=parts.event_data(payload),
    )


def add_device(request: Request) -> Operation:
    """Read PUT /customers/{identifier}/devices."""
    person = parts.path_person(request.segments[3])
    device = parts.json_object(request.json()).get("device")
    if type(device) is not dict:
        raise RefusalError("", "device must be present")
    token = parts.text(device, "id", required=True)
    v2_parts.check_device(device)
    return AddDevice(
        keys=(person.key,),
        person=person,
        token=str(token),
        platform=device["platform"],
        last_used=device.get("last_used"),
        attributes=device.get("attributes", {}),
    )


def delete_device(request: Request) -> Operation:
    """Read DELETE /customers/{identifier}/devices/{device_id}."""
    person, token = parts.path_person(request.segments[3]), request.segments[5]
    if not token.strip():
        raise RefusalError("", "device id cannot be blank")
    return DeleteDevice(keys=(person.key,), person=person, token=token)


def merge(request: Request) -> Operation:
    """Read POST /merge_customers."""
    payload = parts.json_object(request.json())
    primary, secondary = (
        v2_parts.merged_person(payload, "primary"),
        v2_parts.merged_person(payload, "secondary"),
    )
    keys = (primary.key, secondary.key)
    return Merge(keys=keys, primary=primary, secondary=secondary)


def change_segment(remove: bool) -> Callable[[Request], Operation]:
    """Return the reader of POST /segments/{segment_id}/add_customers or …/remove_customers."""

    def read(request: Request) -> Operation:
        segment_id = _segment_id(request.segments[3])
        people = _segment_people(request)
        return ChangeSegment(
            action="remove_customers" if remove else "add_customers",
            keys=tuple(person.key for person in people),
            name=str(segment_id),
            segment_id=segment_id,
            people=people,
            remove=remove,
        )

    return read


def _segment_id(text: str) -> int:
    if (
        not (text.isascii() and text.isdigit() and len(text) <= 10)
        or not 1 <= int(text) <= published_limits.SEGMENT_ID_MAX
    ):
        raise RefusalError("", "segment id must be an integer")
    return int(text)


def _segment_people(request: Request) -> tuple[PersonRef, ...]:
    """Return the people named by the query's kind of identifier; ignore other values."""
    kind = request.query("id_type", "id")
    if kind not in v2_parts.PLAIN_PERSON_KINDS:
        raise RefusalError("", "id_type must be one of id, email, cio_id")
    ids = parts.json_object(request.json()).get("ids")
    if type(ids) is not list or not 1 <= len(ids) <= published_limits.SEGMENT_IDS:
        raise RefusalError("", f"ids must be a list of 1 to {published_limits.SEGMENT_IDS} strings")
    if not all(isinstance(value, str) for value in ids):
        raise RefusalError("", "ids must be strings")
    return tuple(
        person_ref(kind, value)
        for value in ids
        if value.strip() and (kind != "email" or "@" in value)
    )


def submit_form(request: Request) -> Operation:
    """Read POST /forms/{form_id}/submit."""
    data = parts.json_object(request.json()).get("data")
    if type(data) is not dict:
        raise RefusalError("", "data must be a hash")
    fields = {name: value for name, value in data.items() if name not in RESERVED_FORM_FIELDS}
    person = _form_person(fields)
    for name, value in fields.items():
        # An example of the description has a numeric id.
        if not isinstance(value, str) and name != "id":
            raise RefusalError("", f"form value '{name}' must be a string")
    form_id = request.segments[3]
    return SubmitForm(
        keys=(person.key,),
        name=form_id,
        form_id=form_id,
        person=person,
        attributes=parts.person_attributes({**fields, person.kind: person.value}),
    )


def _form_person(fields: JsonObject) -> PersonRef:
    named = [kind for kind in ("id", "email") if fields.get(kind) not in (None, "")]
    if len(named) != 1:
        raise RefusalError("", f"data must contain exactly one of id and email, got {len(named)}")
    kind, value = named[0], fields[named[0]]
    return v2_parts.person({kind: value}, "data")


def metric(request: Request) -> Operation:
    """Read POST /metrics."""
    payload = parts.json_object(request.json())
    delivery_id = str(parts.text(payload, "delivery_id", required=True))
    if payload.get("metric") not in METRICS:
        raise RefusalError("", f"metric must be one of {', '.join(METRICS)}")
    # In the description, the recipient of an SMS metric is a number.
    if not isinstance(payload.get("recipient", ""), str | int):
        raise RefusalError("", "recipient must be a string or an integer")
    for name in ("reason", "href"):
        parts.text(payload, name)
    return _metric(delivery_id, "metric", payload["metric"], payload)


def push_metric(request: Request) -> Operation:
    """Read POST /push/events, the predecessor of /metrics. It requires no field."""
    payload = parts.json_object(request.json())
    if payload.get("event", "opened") not in DELIVERY_METRICS:
        raise RefusalError("", f"event must be one of {', '.join(DELIVERY_METRICS)}")
    parts.text(payload, "device_id")
    return _metric(parts.text(payload, "delivery_id") or "", "event", payload.get("event"), payload)


def _metric(delivery_id: str, action: str, name: Any, payload: JsonObject) -> ReportMetric:
    return ReportMetric(
        action=action,
        keys=(f"delivery:{delivery_id}",),
        delivery_id=delivery_id,
        name=name,
        timestamp=parts.timestamp(payload),
        attributes=payload,
    )


def unsubscribe(request: Request) -> Operation:
    """Read POST /unsubscribe/{delivery_id}."""
    delivery_id = request.segments[1]
    if not delivery_id.strip():
        raise RefusalError("", "delivery_id cannot be blank")
    payload = parts.json_object(request.json())
    wanted = parts.flag(payload, "unsubscribe")
    return Unsubscribe(
        keys=(f"delivery:{delivery_id}",),
        delivery_id=delivery_id,
        unsubscribe=wanted,
        attributes=payload,
    )
