"""The control endpoints that change the workspace: losses, interventions, segments, the account."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from trackrelay.sandbox.core import Sandbox
from trackrelay.sandbox.interventions import parse_intervention
from trackrelay.sandbox.losses import parse_loss
from trackrelay.sandbox.parsed_operations import Arrival
from trackrelay.sandbox.rehearsal.outlooks import outlook, sent_messages
from trackrelay.sandbox.workspace.account import EspSuppression, ObjectType, Topic
from trackrelay.sandbox.workspace.segment_definitions import NewSegment, define_segment
from trackrelay.sandbox.workspace.segments import Segment
from trackrelay.sandbox.workspace.workspace_state import State

from .control_messages import error_response, json_response, path_number, read_document

T = TypeVar("T")


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
        segment = define_segment(self._state, _converted(await read_document(request), NewSegment))
        return json_response({"id": segment.id}, 201)

    async def campaigns(self, request: Request) -> Response:
        """Define a campaign (POST), or list all (GET)."""
        rehearsal = self._sandbox.rehearsal
        if request.method == "GET":
            campaigns = rehearsal.campaigns.values() if rehearsal else ()
            return json_response({"campaigns": list(campaigns)})
        self._sandbox.define_campaign(await read_document(request))
        return json_response({}, 201)

    async def messages(self, request: Request) -> Response:
        """Return the messages that campaigns would have sent."""
        return json_response({"messages": sent_messages(self._state, self._sandbox.rehearsal)})

    async def outlook(self, request: Request) -> Response:
        """Return whether a campaign sends a person its message, and why."""
        campaign, person = (request.query_params.get(name, "") for name in ("campaign", "person"))
        found = outlook(self._state, self._sandbox.rehearsal, campaign, person)
        return json_response(found)

    async def clock(self, request: Request) -> Response:
        """Return the time (GET), after advancing the clock (POST)."""
        if request.method == "POST":
            self._sandbox.advance((await read_document(request)).get("advance", 0))
        return json_response({"now": self._state.clock.now()})

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
            new.created = new.created or int(self._state.clock.now())
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
        now = self._state.clock.now()
        delivery.person_key = message.person
        delivery.created = message.created or delivery.created or int(now)
        delivery.fields |= message.fields
        self._state.record_message(
            delivery_id, "sent", Arrival(self._sandbox.effects.log.next_seq, now)
        )
        return json_response({})


def _segment_line(segment: Segment) -> dict[str, Any]:
    return {"id": segment.id, "name": segment.name, "conditions": segment.conditions}
