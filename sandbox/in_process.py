"""A sandbox without a port: for tests that have the requests in hand."""

from __future__ import annotations

import base64
from typing import Any

from .app import SandboxApp
from .core import Sandbox
from .options import SandboxOptions
from .track.parsed_request import Request
from .track.track_answers import Answer
from .views.view_shapes import object_line, others, person_line, person_page


class InProcessSandbox:
    """Takes requests, and says what became of them. Of one thread at a time.

    Args:
        options: fields of `SandboxOptions`: `event_merging=False`, `region="eu"`, …
    """

    def __init__(self, **options: Any) -> None:
        self._sandbox = Sandbox(SandboxOptions(**options))
        self._app = SandboxApp(self._sandbox)

    def send(self, method: str, path: str, body: bytes) -> Answer:
        """The answer to a request with the right credentials; `path` with its query, percent-encoded."""
        options = self._sandbox.options
        credentials = base64.b64encode(f"{options.site_id}:{options.api_key}".encode())
        headers = {b"content-type": b"application/json", b"authorization": b"Basic " + credentials}
        raw_path, _, query = path.partition("?")
        return self._app.answer(Request(method, raw_path, query, headers, body))

    def person(self, key: str) -> dict[str, Any] | None:
        """One person by a key (`id:42`, `email:…`, `cio_id:…`, `anonymous:…`), None if there is nobody."""
        state = self._sandbox.workspace.state
        person = state.people.find(key.lower() if key.startswith("email:") else key)
        return person_page(state, person) if person else None

    def people(self) -> list[dict[str, Any]]:
        """Everybody."""
        return [person_line(person) for person in self._sandbox.workspace.state.people]

    def objects(self) -> list[dict[str, Any]]:
        """All objects, with the people related to them."""
        state = self._sandbox.workspace.state
        return [object_line(state, found) for found in state.objects]

    def others(self) -> dict[str, Any]:
        """`segments`, `forms`, `deliveries`, `suppressed`, `anonymous_events`."""
        return others(self._sandbox.workspace.state)

    def effects(self, *, ignored: bool = False) -> list[dict[str, Any]]:
        """What took effect, in order; with `ignored`, also what was accepted and came to nothing."""
        return [effect.view() for effect in self._sandbox.effects.after(0, ignored=ignored)]

    def events(self) -> list[dict[str, Any]]:
        """The events that took effect: each ULID once."""
        return [effect.view() for effect in self._sandbox.effects.after(0) if effect.is_event]
