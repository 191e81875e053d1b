"""The JSON of people, objects and other state in the control endpoints."""

from __future__ import annotations

from typing import Any

import msgspec

from trackrelay.sandbox.workspace.objects import Object
from trackrelay.sandbox.workspace.people import Person
from trackrelay.sandbox.workspace.workspace_state import State

#: How many of a person's latest events are shown.
SHOWN_EVENTS = 100


def person_line(person: Person) -> dict[str, Any]:
    """Return the JSON of a person in a list."""
    return {
        "keys": person.keys,
        "cio_id": person.cio_id,
        "identifiers": person.identifiers,
        "anonymous_ids": person.anonymous_ids,
        "attributes": person.attributes.values,
        "events": len(person.events),
        "devices": len(person.devices),
        "relationships": len(person.relationships),
        "segments": sorted(person.segments),
        "unsubscribed": person.unsubscribed,
    }


def person_page(state: State, person: Person) -> dict[str, Any]:
    """Return the JSON of everything about a person."""
    return person_line(person) | {
        "timestamps": person.attributes.times,
        "devices": msgspec.to_builtins(list(person.devices.values())),
        "relationships": [
            {"object": found.key, "attributes": attributes.values}
            for cio_object_id, attributes in person.relationships.items()
            if (found := state.objects.by_cio_id(cio_object_id)) is not None
        ],
        "event_count": len(person.events),
        "events": [
            {
                "seq": each.seq,
                "timestamp": each.at,
                "action": each.type,
                "name": each.name,
                "id": each.id,
            }
            for each in person.events[-SHOWN_EVENTS:]
        ],
    }


def object_line(state: State, found: Object) -> dict[str, Any]:
    """Return the JSON of an object, with the people related to it."""
    return {
        "key": found.key,
        "object_type_id": found.type_id,
        "object_id": found.object_id,
        "cio_object_id": found.cio_object_id,
        "attributes": found.attributes.values,
        "people": [
            {"keys": person.keys, "attributes": found.people[person.cio_id].values}
            for person in state.people.by_cio_ids(found.people)
        ],
    }


def others(state: State) -> dict[str, Any]:
    """Return the JSON of segments, forms, messages, suppressed keys and unclaimed events."""
    return {
        "segments": {
            str(segment.id): [
                person.keys[0] for person in state.people.by_cio_ids(sorted(segment.members))
            ]
            for segment in state.segments
            if segment.is_manual
        },
        "forms": state.forms,
        "deliveries": {
            delivery_id: {
                "metrics": each.metrics,
                "unsubscribed": each.unsubscribed,
                "person": each.person_key,
            }
            for delivery_id, each in state.account.deliveries.items()
        },
        "suppressed": state.suppressions.all(),
        "anonymous_events": state.anonymous.event_counts(),
    }
