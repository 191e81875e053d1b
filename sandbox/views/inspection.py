"""Looking at what the sandbox knows and remembers."""

from __future__ import annotations

from importlib.resources import files
from itertools import islice
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from trackrelay.sandbox.core import Sandbox

from .view_http import PAGE, number, page_of, shown, wrong
from .view_shapes import object_line, others, person_line, person_page


class Look:
    """People, objects, effects, events, requests, repeats, counts, and a page for eyes."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._page = files(__package__).joinpath("page.html").read_text("utf-8")

    async def page(self, request: Request) -> Response:
        """The page for eyes."""
        # Nobody puts the page with its buttons under one of their own.
        return HTMLResponse(
            self._page, headers={"Content-Security-Policy": "frame-ancestors 'none'"}
        )

    async def latest(self, request: Request) -> Response:
        """What that page shows."""
        sandbox = self._sandbox
        people = list(sandbox.workspace.state.people)[-50:]
        effects = sandbox.effects.log.newest(50)
        return shown(
            {
                "summary": sandbox.counts.view() | {"people": len(sandbox.workspace.state.people)},
                "faults": sandbox.faults.view(),
                "people": [person_line(person) for person in reversed(people)],
                "effects": [effect.view() for effect in effects],
                "requests": [record.line() for record in sandbox.requests.log.newest(50)],
            }
        )

    async def people(self, request: Request) -> Response:
        """Everybody, paged by number."""
        everybody = self._sandbox.workspace.state.people
        start, limit = number(request, "after", 0), max(1, number(request, "limit", PAGE))
        found = [person_line(person) for person in islice(everybody, start, start + limit)]
        following = start + limit if start + limit < len(everybody) else None
        return shown({"people": found, "next": following})

    async def person(self, request: Request) -> Response:
        """One person, by any of their keys."""
        key = unquote(request.scope["raw_path"].decode("latin-1").rpartition("/")[2])
        key = key.lower() if key.startswith("email:") else key
        state = self._sandbox.workspace.state
        person = state.people.find(key)
        return (
            shown(person_page(state, person))
            if person
            else wrong(f"there is nobody called {key}", 404)
        )

    async def objects(self, request: Request) -> Response:
        """All objects."""
        state = self._sandbox.workspace.state
        return shown({"objects": [object_line(state, found) for found in state.objects]})

    async def others(self, request: Request) -> Response:
        """Segments, forms, messages, suppressed keys, unclaimed anonymous events."""
        return shown(others(self._sandbox.workspace.state))

    async def effects(self, request: Request) -> Response:
        """What took effect, in the order it was accepted; `ignored=1` adds what was accepted and ignored."""
        wanted = request.query_params.get("ignored", "") in ("1", "true")
        after = number(request, "after", 0)
        return page_of(request, "effects", self._sandbox.effects.after(after, ignored=wanted))

    async def events(self, request: Request) -> Response:
        """The events among the effects."""
        records = self._sandbox.effects.after(number(request, "after", 0))
        return page_of(request, "events", (record for record in records if record.is_event))

    async def requests(self, request: Request) -> Response:
        """Requests as they came in."""
        return page_of(
            request, "requests", self._sandbox.requests.log.after(number(request, "after", 0))
        )

    async def duplicates(self, request: Request) -> Response:
        """ULIDs that came more than once, and how many times too often."""
        times = self._sandbox.workspace.state.event_ids
        return shown(
            {"duplicates": {ulid: count - 1 for ulid, count in times.items() if count > 1}}
        )

    async def summary(self, request: Request) -> Response:
        """Counts."""
        sandbox = self._sandbox
        state, effects, requests = (
            sandbox.workspace.state,
            sandbox.effects.log,
            sandbox.requests.log,
        )
        kept = {
            "people": len(state.people),
            "objects": len(state.objects),
            "first_effect": effects.first_seq,
        }
        return shown(sandbox.counts.view() | kept | {"first_request": requests.first_seq})
