"""A sandbox without a port, for tests that pass requests directly."""

from __future__ import annotations

import base64
from typing import Any

from .app import SandboxApp
from .core import Sandbox
from .options import SandboxOptions
from .track.track_messages import Answer, Request
from .views.view_shapes import object_line, others, person_line, person_page


class InProcessSandbox:
    """Answers requests in this process; use it from one thread at a time.

    Args:
        options: Fields of ``SandboxOptions``: ``event_merging=False``, ``region="eu"``, …
    """

    def __init__(self, **options: Any) -> None:
        self._sandbox = Sandbox(SandboxOptions(**options))
        self._app = SandboxApp(self._sandbox)

    def send(self, method: str, path: str, body: bytes) -> Answer:
        """Return the answer of the Track API or the App API to a request with valid credentials.

        Args:
            method: The HTTP method.
            path: The percent-encoded path, with its query.
            body: The JSON body.
        """
        options = self._sandbox.options
        credentials = base64.b64encode(f"{options.site_id}:{options.api_key}".encode())
        is_app = path.startswith("/v1/")
        bearer = f"Bearer {options.app_api_key}".encode()
        authorization = bearer if is_app else b"Basic " + credentials
        headers = {b"content-type": b"application/json", b"authorization": authorization}
        raw_path, _, query = path.partition("?")
        return self._app.answer(Request(method, raw_path, query, headers, body))

    def person(self, key: str) -> dict[str, Any] | None:
        """Return a person by a key (``id:42``, ``email:…``, ``anonymous:…``), or None."""
        state = self._sandbox.state
        person = state.people.find(key.lower() if key.startswith("email:") else key)
        return person_page(state, person) if person else None

    def people(self) -> list[dict[str, Any]]:
        """Return all people."""
        return [person_line(person) for person in self._sandbox.state.people]

    def objects(self) -> list[dict[str, Any]]:
        """Return all objects, with the people related to them."""
        state = self._sandbox.state
        return [object_line(state, found) for found in state.objects]

    def others(self) -> dict[str, Any]:
        """Return segments, forms, deliveries, suppressed keys and unclaimed anonymous events."""
        return others(self._sandbox.state)

    def effects(self, *, ignored: bool = False) -> list[dict[str, Any]]:
        """Return what took effect, in order; with ``ignored``, all accepted operations."""
        return [effect.view() for effect in self._sandbox.effects.after(0, ignored=ignored)]

    def events(self) -> list[dict[str, Any]]:
        """Return the events that took effect."""
        return [effect.view() for effect in self._sandbox.effects.after(0) if effect.is_event]
