"""Readers of v2 operations, by type and action."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from trackrelay.sandbox.parsed_operations import JsonObject, Operation, person_ref
from trackrelay.sandbox.workspace.event_operations import Event, ReportMetric
from trackrelay.sandbox.workspace.identify_operations import Identify
from trackrelay.sandbox.workspace.object_operations import (
    DeleteObject,
    IdentifyObject,
    RelateObject,
)
from trackrelay.sandbox.workspace.person_operations import (
    AddDevice,
    DeleteDevice,
    DeletePerson,
    Merge,
    RelatePerson,
    Suppress,
    Unsuppress,
)

from . import v2_parts as parts
from .track_messages import RefusalError

DELIVERY_METRICS = ("opened", "converted", "delivered")


def parse(operation: Any) -> Operation:
    """Return one operation.

    Raises:
        RefusalError: Customer.io would refuse it.
    """
    if type(operation) is not dict:
        raise RefusalError("", "an operation must be an object")
    kind, action = operation.get("type"), operation.get("action")
    try:
        read = _READERS[kind, action]
    except (KeyError, TypeError):
        raise _unknown(kind, action) from None
    return read(operation)


def _unknown(kind: Any, action: Any) -> RefusalError:
    if kind is None:
        return RefusalError("type", "must be present", "required")
    if kind not in ("person", "object", "delivery"):
        return RefusalError("type", "must be one of person, object, delivery")
    if action is None:
        return RefusalError("action", "must be present", "required")
    return RefusalError("action", f"unknown action for type {kind}")


def _identify(o: JsonObject) -> Identify:
    person = parts.person(o.get("identifiers"))
    attributes = parts.person_attributes(o)
    return Identify(
        keys=identify_keys(person.key, attributes),
        person=person,
        timestamp=parts.timestamp(o),
        attributes=attributes,
        relationships=parts.related_objects(o),
        update_only=attributes.get("_update", False),
    )


def identify_keys(key: str, attributes: JsonObject) -> tuple[str, ...]:
    """Return the keys of an identify: the person's, and that of an anonymous id it joins."""
    if anonymous_id := attributes.get("anonymous_id"):
        return key, person_ref("anonymous_id", anonymous_id).key
    return (key,)


def _event(o: JsonObject) -> Event:
    person = parts.person(o.get("identifiers"))
    return Event(
        action=o["action"],
        keys=(person.key,),
        person=person,
        name=parts.event_name(o),
        id=parts.event_id(o),
        timestamp=parts.timestamp(o),
        attributes=parts.event_data(o),
    )


def _simple(
    kind: type[DeletePerson] | type[Suppress] | type[Unsuppress],
) -> Callable[[JsonObject], Operation]:
    def read(o: JsonObject) -> Operation:
        person = parts.person(o.get("identifiers"))
        return kind(keys=(person.key,), person=person)

    return read


def _relate_person(o: JsonObject) -> RelatePerson:
    person = parts.person(o.get("identifiers"))
    return RelatePerson(
        action=o["action"],
        keys=(person.key,),
        person=person,
        relationships=parts.related_objects(o, required=True),
        remove=o["action"] == "delete_relationships",
    )


def _add_device(o: JsonObject) -> AddDevice:
    person = parts.person(o.get("identifiers"))
    device = parts.device(o)
    parts.check_device(device)
    return AddDevice(
        keys=(person.key,),
        person=person,
        token=device["token"],
        platform=device["platform"],
        last_used=device.get("last_used"),
        attributes=device.get("attributes", {}),
    )


def _delete_device(o: JsonObject) -> DeleteDevice:
    person = parts.person(o.get("identifiers"))
    token = parts.device(o)["token"]
    return DeleteDevice(keys=(person.key,), person=person, token=token)


def _merge(o: JsonObject) -> Merge:
    primary, secondary = parts.merged_person(o, "primary"), parts.merged_person(o, "secondary")
    keys = (primary.key, secondary.key)
    return Merge(keys=keys, primary=primary, secondary=secondary)


def _identify_object(o: JsonObject) -> IdentifyObject:
    subject = parts.some_object(o.get("identifiers"))
    anonymous = o["action"] == "identify_anonymous"
    return IdentifyObject(
        action=o["action"],
        keys=(subject.key,),
        object=subject,
        attributes=parts.object_attributes(o.get("attributes")),
        relationships=parts.anonymous_people(o) if anonymous else parts.related_people(o),
    )


def _delete_object(o: JsonObject) -> DeleteObject:
    subject = parts.some_object(o.get("identifiers"))
    return DeleteObject(keys=(subject.key,), object=subject)


def _relate_object(o: JsonObject) -> RelateObject:
    subject = parts.some_object(o.get("identifiers"))
    return RelateObject(
        action=o["action"],
        keys=(subject.key,),
        object=subject,
        relationships=parts.related_people(o, required=True),
        remove=o["action"] == "delete_relationships",
    )


def _delivery(o: JsonObject) -> ReportMetric:
    given = o.get("identifiers")
    if type(given) is not dict or not isinstance(given.get("id"), str) or not given["id"].strip():
        raise RefusalError("identifiers.id", "a delivery id must be present", "required")
    if len(given) != 1:
        raise RefusalError("identifiers", f"exactly one identifier is required, got {len(given)}")
    if o.get("name") not in DELIVERY_METRICS:
        raise RefusalError("name", f"must be one of {', '.join(DELIVERY_METRICS)}")
    attributes = o.get("attributes")
    if type(attributes) is not dict or not isinstance(attributes.get("device_token"), str):
        raise RefusalError("attributes.device_token", "must be present", "required")
    return ReportMetric(
        action="event",
        keys=(f"delivery:{given['id']}",),
        delivery_id=given["id"],
        name=o["name"],
        timestamp=parts.timestamp(o),
        attributes=attributes,
    )


_READERS: Final[dict[tuple[Any, Any], Callable[[JsonObject], Operation]]] = {
    ("person", "identify"): _identify,
    ("person", "delete"): _simple(DeletePerson),
    ("person", "event"): _event,
    ("person", "page"): _event,
    ("person", "screen"): _event,
    ("person", "add_relationships"): _relate_person,
    ("person", "delete_relationships"): _relate_person,
    ("person", "add_device"): _add_device,
    ("person", "delete_device"): _delete_device,
    ("person", "merge"): _merge,
    ("person", "suppress"): _simple(Suppress),
    ("person", "unsuppress"): _simple(Unsuppress),
    ("object", "identify"): _identify_object,
    ("object", "identify_anonymous"): _identify_object,
    ("object", "delete"): _delete_object,
    ("object", "add_relationships"): _relate_object,
    ("object", "delete_relationships"): _relate_object,
    ("delivery", "event"): _delivery,
}
