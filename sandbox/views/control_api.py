"""The control endpoints below /_sandbox: they show what the sandbox knows, and change it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from itertools import islice
from typing import Any, Protocol
from urllib.parse import unquote

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from trackrelay.sandbox.core import Sandbox
from trackrelay.sandbox.faults import parse_fault

from .control_messages import error_response, json_response, path_number, read_document
from .view_shapes import object_line, others, person_line, person_page
from .workspace_control import WorkspaceControl

#: Records in a page, unless the query has a limit.
PAGE = 1_000
#: A page ends early when its bodies reach this size: a batch can have half a megabyte.
PAGE_BYTES = 8_000_000
#: Number of people, operations and requests on the HTML page.
LATEST = 50


class Shown(Protocol):
    """A record with a JSON view."""

    seq: int
    body: bytes | None

    def view(self) -> dict[str, Any]:
        """Return the JSON of the record."""


def control_api(sandbox: Sandbox) -> Starlette:
    """Return the ASGI application of the control endpoints."""
    api, workspace = ControlApi(sandbox), WorkspaceControl(sandbox)
    at = "/_sandbox"
    return Starlette(
        routes=[
            Route(f"{at}/", api.html),
            Route(f"{at}/latest", api.latest),
            Route(f"{at}/people", api.people),
            Route(f"{at}/people/{{key:path}}", api.person),
            Route(f"{at}/objects", api.objects),
            Route(f"{at}/others", api.others),
            Route(f"{at}/effects", api.effects),
            Route(f"{at}/events", api.events),
            Route(f"{at}/requests", api.requests),
            Route(f"{at}/duplicates", api.duplicates),
            Route(f"{at}/summary", api.summary),
            Route(f"{at}/faults", api.faults, methods=["GET", "POST", "DELETE"]),
            Route(f"{at}/faults/{{number}}", api.fault, methods=["DELETE"]),
            Route(f"{at}/outage", api.outage, methods=["POST", "DELETE"]),
            Route(f"{at}/credentials", api.credentials, methods=["PUT"]),
            Route(f"{at}/settings", api.settings, methods=["GET", "PUT"]),
            Route(f"{at}/losses", workspace.losses, methods=["GET", "POST", "DELETE"]),
            Route(f"{at}/losses/{{number}}", workspace.loss, methods=["DELETE"]),
            Route(f"{at}/interventions", workspace.intervene, methods=["POST"]),
            Route(f"{at}/segments", workspace.segments, methods=["GET", "POST"]),
            Route(f"{at}/campaigns", workspace.campaigns, methods=["GET", "POST"]),
            Route(f"{at}/messages", workspace.messages),
            Route(f"{at}/outlook", workspace.outlook),
            Route(f"{at}/clock", workspace.clock, methods=["GET", "POST"]),
            Route(f"{at}/object_types/{{number}}", workspace.object_type, methods=["PUT"]),
            Route(f"{at}/topics", workspace.topics, methods=["PUT"]),
            Route(f"{at}/esp_suppressions", workspace.esp, methods=["GET", "POST", "DELETE"]),
            Route(f"{at}/metadata", workspace.metadata),
            Route(f"{at}/deliveries/{{delivery_id}}", workspace.delivery, methods=["PUT"]),
            Route(f"{at}/reset", api.reset, methods=["POST"]),
        ],
        exception_handlers={ValueError: _refuse},
    )


async def _refuse(request: Request, error: Exception) -> Response:
    return error_response(str(error))


def _number(request: Request, name: str, default: int) -> int:
    """Return a number of the query, or the default if it is not a number."""
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else default


def _after(request: Request) -> int:
    return _number(request, "after", 0)


def _limit(request: Request) -> int:
    return max(1, _number(request, "limit", PAGE))


def _page_of(request: Request, name: str, records: Iterable[Shown]) -> Response:
    """Return one page of records; ``next`` is the ``after`` of the next page, or null."""
    limit = _limit(request)
    page: list[Shown] = []
    size = 0
    following = None
    for record in records:
        if len(page) == limit or size > PAGE_BYTES:
            following = page[-1].seq
            break
        page.append(record)
        size += len(record.body or b"")
    return json_response({name: [each.view() for each in page], "next": following})


class ControlApi:
    """The handlers of the control endpoints."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._html = files(__package__).joinpath("page.html").read_text("utf-8")

    async def html(self, request: Request) -> Response:
        """Return the HTML page."""
        # No other site can show the page in a frame and lure clicks to its buttons.
        return HTMLResponse(
            self._html, headers={"Content-Security-Policy": "frame-ancestors 'none'"}
        )

    async def latest(self, request: Request) -> Response:
        """Return what the HTML page shows."""
        sandbox = self._sandbox
        people = list(sandbox.state.people)
        return json_response(
            {
                "summary": sandbox.counts.view() | {"people": len(people)},
                "faults": sandbox.faults.view(),
                "losses": sandbox.losses.view(),
                "people": [person_line(person) for person in reversed(people[-LATEST:])],
                "effects": [effect.view() for effect in sandbox.effects.log.newest(LATEST)],
                "requests": [record.line() for record in sandbox.requests.log.newest(LATEST)],
            }
        )

    async def people(self, request: Request) -> Response:
        """Return a page of people; ``after`` counts those of the pages before."""
        people = self._sandbox.state.people
        start, limit = _after(request), _limit(request)
        page = [person_line(person) for person in islice(people, start, start + limit)]
        following = start + limit if start + limit < len(people) else None
        return json_response({"people": page, "next": following})

    async def person(self, request: Request) -> Response:
        """Return a person by any key."""
        # The path as it was sent: an identifier can have an encoded slash.
        key = unquote(request.scope["raw_path"].decode("latin-1").rpartition("/")[2])
        state = self._sandbox.state
        person = state.people.find(key.lower() if key.startswith("email:") else key)
        if person is None:
            return error_response(f"there is nobody called {key}", 404)
        return json_response(person_page(state, person))

    async def objects(self, request: Request) -> Response:
        """Return all objects."""
        state = self._sandbox.state
        return json_response({"objects": [object_line(state, found) for found in state.objects]})

    async def others(self, request: Request) -> Response:
        """Return segments, forms, messages, suppressed keys and unclaimed anonymous events."""
        return json_response(others(self._sandbox.state))

    async def effects(self, request: Request) -> Response:
        """Return what took effect; with ``ignored=1``, all accepted operations."""
        ignored = request.query_params.get("ignored", "") in ("1", "true")
        effects = self._sandbox.effects.after(_after(request), ignored=ignored)
        return _page_of(request, "effects", effects)

    async def events(self, request: Request) -> Response:
        """Return the events that took effect."""
        effects = self._sandbox.effects.after(_after(request))
        return _page_of(request, "events", (effect for effect in effects if effect.is_event))

    async def requests(self, request: Request) -> Response:
        """Return the requests in the order they arrived."""
        return _page_of(request, "requests", self._sandbox.requests.log.after(_after(request)))

    async def duplicates(self, request: Request) -> Response:
        """Return how often each repeated ULID was ignored."""
        times = self._sandbox.state.event_ids
        return json_response(
            {"duplicates": {ulid: count - 1 for ulid, count in times.items() if count > 1}}
        )

    async def summary(self, request: Request) -> Response:
        """Return the counts, and from which numbers effects and requests are remembered."""
        sandbox = self._sandbox
        state = sandbox.state
        kept = {
            "people": len(state.people),
            "objects": len(state.objects),
            "first_effect": sandbox.effects.log.first_seq,
            "first_request": sandbox.requests.log.first_seq,
        }
        return json_response(sandbox.counts.view() | kept)

    async def faults(self, request: Request) -> Response:
        """Add a fault (POST), list all (GET) or delete all (DELETE)."""
        faults = self._sandbox.faults
        if request.method == "POST":
            fault = parse_fault(await read_document(request))
            return json_response({"id": faults.add(fault)}, 201)
        if request.method == "DELETE":
            faults.delete_all()
            return json_response({})
        return json_response({"faults": faults.view()})

    async def fault(self, request: Request) -> Response:
        """Delete a fault."""
        if self._sandbox.faults.delete(path_number(request)):
            return json_response({})
        return error_response(f"there is no fault {request.path_params['number']}", 404)

    async def outage(self, request: Request) -> Response:
        """Start an outage (POST), or end all (DELETE)."""
        if request.method == "DELETE":
            self._sandbox.faults.delete_all(outages_only=True)
            return json_response({})
        default = {"kind": "status", "message": "the sandbox simulates an outage"}
        fault = parse_fault(default | await read_document(request))
        return json_response({"id": self._sandbox.faults.add(fault, outage=True)}, 201)

    async def credentials(self, request: Request) -> Response:
        """Replace some credentials; the previous ones are refused from now on."""
        changes = await read_document(request)
        names = {"site_id", "api_key", "app_api_key"}
        if not changes.keys() <= names:
            raise ValueError(f"credentials are an object with some of {', '.join(sorted(names))}")
        for name, value in changes.items():
            setattr(self._sandbox.credentials, name, str(value)[:1_000])
        return json_response({})

    async def settings(self, request: Request) -> Response:
        """Return the settings (GET), after changing some (PUT)."""
        if request.method == "PUT":
            self._sandbox.change_settings(await read_document(request))
        return json_response(msgspec.to_builtins(self._sandbox.settings))

    async def reset(self, request: Request) -> Response:
        """Forget everything, as after a start."""
        self._sandbox.reset()
        return json_response({})
