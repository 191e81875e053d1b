"""The App API's operations about segments."""

from __future__ import annotations

from collections.abc import Iterable

from trackrelay.sandbox.parsed_operations import JsonObject
from trackrelay.sandbox.track.track_messages import Request
from trackrelay.sandbox.workspace.conditions import member_test
from trackrelay.sandbox.workspace.people import Person
from trackrelay.sandbox.workspace.segments import Segment
from trackrelay.sandbox.workspace.workspace_state import State

from .app_messages import Limit, MissingError, identifiers, page, path_person
from .people_reads import place


def of_person(state: State, request: Request) -> JsonObject:
    """Answer getPersonSegments."""
    person = path_person(state, request)
    return {
        "segments": [
            {"id": each.id, "name": each.name, "description": each.description}
            for each in state.segments
            if member_test(state, each.id)(person)
        ]
    }


def all_segments(state: State, request: Request) -> JsonObject:
    """Answer listSegments."""
    return {"segments": [_view(each) for each in state.segments]}


def one(state: State, request: Request) -> JsonObject:
    """Answer getSegment."""
    return {"segment": _view(_segment(state, request))}


def count(state: State, request: Request) -> JsonObject:
    """Answer getSegmentCount."""
    segment = _segment(state, request)
    return {"segment_id": segment.id, "count": sum(1 for _ in _members(state, segment))}


def membership(state: State, request: Request) -> JsonObject:
    """Answer getSegmentMembership."""
    segment = _segment(state, request)
    members = _members(state, segment)
    by_place = place if segment.conditions is not None else None
    people, more = page(state, request, members, Limit(1_000, 30_000), by_place)
    hidden = () if "email" in state.settings.identifiers else ("email",)
    return {
        "segment_id": segment.id,
        "ids": [person.identifiers.get("id", "") for person in people],
        "identifiers": [
            {kind: value for kind, value in identifiers(person).items() if kind not in hidden}
            for person in people
        ],
        **more,
    }


def _members(state: State, segment: Segment) -> Iterable[Person]:
    if segment.conditions is None:
        return state.people.by_cio_ids(segment.members)
    test = member_test(state, segment.id)
    return (person for person in state.people if test(person))


def _segment(state: State, request: Request) -> Segment:
    """Return the segment that the path names.

    Raises:
        MissingError: There is no such segment.
    """
    text = request.segments[2]
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else 0
    segment = state.segments.find(number)
    if segment is None:
        raise MissingError
    return segment


def _view(segment: Segment) -> JsonObject:
    return {
        "id": segment.id,
        "deduplicate_id": f"{segment.id}:{segment.updated_at}",
        "name": segment.name,
        "description": segment.description,
        "state": "finished",
        "progress": None,
        "type": "manual" if segment.is_manual else "dynamic",
        "tags": segment.tags,
        "created_at": segment.created_at,
        "updated_at": segment.updated_at,
    }
