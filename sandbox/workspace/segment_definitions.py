"""How segments are defined: checked, named, and never by themselves."""

from __future__ import annotations

from typing import Any

import msgspec

from trackrelay.sandbox.published_limits import SEGMENT_ID_MAX

from .conditions import ConditionError, Moment, named_segments, parts, segment_test
from .segments import Segment
from .workspace_state import State


class NewSegment(msgspec.Struct, forbid_unknown_fields=True):
    """A segment to be defined; without ``conditions`` it is a manual one."""

    conditions: dict[str, Any] | None = None
    id: int | None = None
    name: str | None = None
    description: str = ""
    tags: list[str] | None = None


def define_segment(state: State, new: NewSegment) -> Segment:
    """Add a segment, or replace the one with its id; return it.

    Raises:
        ValueError: The id is out of range, or the conditions are not valid or lead back to the
            segment itself.
    """
    number = state.segments.free_id() if new.id is None else new.id
    if not 1 <= number <= SEGMENT_ID_MAX:
        raise ValueError(f"id is {number}; it must be between 1 and {SEGMENT_ID_MAX:,}")
    conditions = new.conditions
    if conditions is not None:
        conditions = checked(state, conditions)
        _check_cycle(state, number, named_segments(conditions))
        if any(kind == "event" and "data" in body for kind, body in parts(conditions)):
            state.keeps_details = True
    name = new.name or f"Segment {number}"
    segment = Segment(number, name, new.description, conditions, new.tags)
    return state.segments.put(segment, int(state.clock.now()))


def checked(state: State, conditions: Any, moment: Moment | None = None) -> Any:
    """Return conditions in which segments have ids, after checking them.

    Raises:
        ValueError: They are not valid, or name a segment that does not exist.
    """
    try:
        conditions = _with_ids(state, conditions)
        segment_test(state, conditions, moment)
    except RecursionError:
        raise ValueError("the conditions are nested too deep") from None
    return conditions


def _with_ids(state: State, conditions: Any) -> Any:
    """Return conditions with the ids of the segments that they name."""
    if isinstance(conditions, list):
        return [_with_ids(state, each) for each in conditions]
    if not isinstance(conditions, dict):
        return conditions
    found = dict(conditions)
    for kind in ("and", "or", "not"):
        if kind in found:
            found[kind] = _with_ids(state, found[kind])
    body = found.get("segment")
    if isinstance(body, dict) and "name" in body:
        segment = state.segments.named(body["name"])
        if segment is None:
            raise ConditionError(f"there is no segment {body['name']!r}")
        found["segment"] = {"id": segment.id}
    return found


def _check_cycle(state: State, number: int, open_ids: set[int]) -> None:
    reached = set[int]()
    while open_ids:
        each = open_ids.pop()
        if each == number:
            raise ValueError(f"the conditions of segment {number} lead back to it")
        reached.add(each)
        found = state.segments.find(each)
        if found is not None and found.conditions is not None:
            open_ids |= named_segments(found.conditions) - reached
