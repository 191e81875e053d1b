"""The control endpoints that change the workspace: losses, interventions, segments, the account."""

from __future__ import annotations

import time
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from trackrelay.sandbox.core import Sandbox
from trackrelay.sandbox.interventions import parse_intervention
from trackrelay.sandbox.losses import parse_loss
from trackrelay.sandbox.parsed_operations import Arrival
from trackrelay.sandbox.published_limits import SEGMENT_ID_MAX
from trackrelay.sandbox.workspace.account import EspSuppression, ObjectType, Topic
from trackrelay.sandbox.workspace.conditions import named_segments, segment_test
from trackrelay.sandbox.workspace.segments import Segment
from trackrelay.sandbox.workspace.workspace_state import State

from .control_messages import error_response, json_response, path_number, read_document

T = TypeVar("T")


class _NewSegment(msgspec.Struct, forbid_unknown_fields=True):
    conditions: dict[str, Any] | None = None
    id: int | None = None
    name: str | None = None
    description: str = ""
    tags: list[str] | None = None


class _Topics(msgspec.Struct, forbid_unknown_fields=True):
    topics: list[Topic]
    title: str = "Manage your subscription preferences"
    subtitle: str = ""


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    """A message; the sandbox sends none, so whoever sends it says so."""

    person: str
    created: int | None = None
    fields: dict[str, Any] = msgspec.field(default_factory=dict)


def _converted(document: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


class WorkspaceControl:
    """The handlers of these control endpoints."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    @property
    def _state(self) -> State:
        return self._sandbox.state

    async def losses(self, request: Request) -> Response:
        """Add a loss (POST), list all (GET) or delete all (DELETE)."""
        losses = self._sandbox.losses
        if request.method == "POST":
            loss = parse_loss(await read_document(request))
            return json_response({"id": losses.add(loss)}, 201)
        if request.method == "DELETE":
            losses.delete_all()
            return json_response({})
        return json_response({"losses": losses.view()})

    async def loss(self, request: Request) -> Response:
        """Delete a loss."""
        if self._sandbox.losses.delete(path_number(request)):
            return json_response({})
        return error_response(f"there is no loss {request.path_params['number']}", 404)

    async def intervene(self, request: Request) -> Response:
        """Do what somebody else does in the workspace."""
        self._sandbox.intervene(parse_intervention(await read_document(request)))
        return json_response({})

    async def segments(self, request: Request) -> Response:
        """Define a segment (POST), or list all with their conditions (GET)."""
        segments = self._state.segments
        if request.method == "GET":
            return json_response({"segments": [_segment_line(each) for each in segments]})
        new = _converted(await read_document(request), _NewSegment)
        number = segments.free_id() if new.id is None else new.id
        if not 1 <= number <= SEGMENT_ID_MAX:
            raise ValueError(f"id is {number}; it must be between 1 and {SEGMENT_ID_MAX:,}")
        if new.conditions is not None:
            self._check(number, new.conditions)
        name = new.name or f"Segment {number}"
        segments.put(Segment(number, name, new.description, new.conditions, new.tags))
        return json_response({"id": number}, 201)

    def _check(self, number: int, conditions: dict[str, Any]) -> None:
        """Check the conditions of a segment.

        Raises:
            ValueError: They are not valid, or lead back to the segment itself.
        """
        try:
            segment_test(self._state, conditions)
        except RecursionError:
            raise ValueError("the conditions are nested too deep") from None
        reached, open_ids = set[int](), named_segments(conditions)
        while open_ids:
            each = open_ids.pop()
            if each == number:
                raise ValueError(f"the conditions of segment {number} lead back to it")
            reached.add(each)
            found = self._state.segments.find(each)
            if found is not None and found.conditions is not None:
                open_ids |= named_segments(found.conditions) - reached

    async def object_type(self, request: Request) -> Response:
        """Name an object type."""
        named = _converted(await read_document(request), ObjectType)
        number = path_number(request)
        if number < 1:
            raise ValueError("the id of an object type is an integer from 1")
        self._state.account.object_types[str(number)] = named
        return json_response({})

    async def topics(self, request: Request) -> Response:
        """Define the topics of the subscription center, and its header."""
        new = _converted(await read_document(request), _Topics)
        self._state.account.topics = new.topics
        self._state.account.header = {"title": new.title, "subtitle": new.subtitle}
        return json_response({})

    async def esp(self, request: Request) -> Response:
        """Add an address that the ESP suppressed (POST), list all (GET) or delete all (DELETE)."""
        suppressions = self._state.account.esp_suppressions
        if request.method == "POST":
            new = _converted(await read_document(request), EspSuppression)
            new.created = new.created or int(time.time())
            suppressions.append(new)
            return json_response({}, 201)
        if request.method == "DELETE":
            suppressions.clear()
        return json_response({"esp_suppressions": msgspec.to_builtins(suppressions)})

    async def metadata(self, request: Request) -> Response:
        """Return the metadata of attributes and events that the App API was told."""
        return json_response(self._state.account.metadata)

    async def delivery(self, request: Request) -> Response:
        """Set the recipient of a message, and the fields that the App API shows of it."""
        message = _converted(await read_document(request), _Message)
        delivery_id = request.path_params["delivery_id"]
        delivery = self._state.account.deliveries[delivery_id]
        now = time.time()
        delivery.person_key = message.person
        delivery.created = message.created or delivery.created or int(now)
        delivery.fields |= message.fields
        self._state.record_message(
            delivery_id, "sent", Arrival(self._sandbox.effects.log.next_seq, now)
        )
        return json_response({})


def _segment_line(segment: Segment) -> dict[str, Any]:
    return {"id": segment.id, "name": segment.name, "conditions": segment.conditions}
