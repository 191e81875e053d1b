"""A sandbox without a port, for tests that pass requests directly."""

from __future__ import annotations

import base64
from typing import Any

from .app import SandboxApp
from .core import Sandbox
from .options import SandboxOptions
from .rehearsal.outlooks import Outlook, history, is_member, outlook, sent_messages
from .sandbox_clock import Span
from .track.track_messages import Answer, Request
from .views.view_shapes import object_line, others, person_line, person_page
from .workspace.segment_definitions import NewSegment, define_segment


class InProcessSandbox:
    """Answers requests in this process; use it from one thread at a time.

    Args:
        options: Fields of ``SandboxOptions``: ``event_merging=False``, ``region="eu"``, …
    """

    def __init__(self, **options: Any) -> None:
        self._sandbox = Sandbox(SandboxOptions(**options))
        # So that conditions on an event's data see the events before them.
        self._sandbox.state.keeps_details = True
        self._app = SandboxApp(self._sandbox)

    @property
    def now(self) -> float:
        """The sandbox's time in unix seconds: the real time, plus what :meth:`advance` added."""
        return self._sandbox.clock.now()

    def advance(self, span: Span) -> None:
        """Move the sandbox's clock forward, and let campaigns send what is due by then.

        Args:
            span: ``"1h"``, ``"30d"``, a number of seconds, or a timedelta.

        Raises:
            ValueError: The span is not valid.
        """
        self._sandbox.advance(span)

    def define_segment(self, name: str, conditions: dict[str, Any]) -> None:
        """Define a segment, or replace the one with this name.

        Args:
            name: By which campaigns, other segments and assertions name it.
            conditions: A filter such as ``{"event": {"name": "order_completed", "days": 30}}``.

        Raises:
            ValueError: The conditions are not valid.
        """
        state = self._sandbox.state
        known = state.segments.named(name)
        number = known.id if known is not None else None
        define_segment(state, NewSegment(conditions=conditions, id=number, name=name))

    def define_campaign(
        self,
        name: str,
        *,
        trigger: str | dict[str, Any],
        wait: Span = 0,
        unless: str | list[str] | dict[str, Any] | None = None,
        filter: dict[str, Any] | None = None,
        channel: str = "email",
    ) -> None:
        """Define a campaign with one message, or replace the one with this name.

        Args:
            name: By which assertions name it.
            trigger: What starts a journey: the name of an event; an ``event`` condition with
                ``data``; or conditions of a segment that a person begins to match.
            wait: How long the message waits: ``"1h"``, seconds, or a timedelta.
            unless: What holds the message back when the wait is over: the name of an event since
                the trigger, a list of such names, or conditions.
            filter: Conditions that the person must match at the start and at the end of the wait.
            channel: Which address the message needs: ``email``, ``sms``, ``push`` or ``none``.

        Raises:
            ValueError: It is not valid.
        """
        self._sandbox.define_campaign(
            {
                "name": name,
                "trigger": trigger,
                "wait": wait,
                "unless": unless,
                "filter": filter,
                "channel": channel,
            }
        )

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages that campaigns have sent: ``campaign``, ``person`` and ``at``."""
        return sent_messages(self._sandbox.state, self._sandbox.rehearsal)

    def outlook(self, campaign: str, key: str) -> Outlook:
        """Return whether a campaign sends its message to a person, as if nothing else happened.

        Args:
            campaign: Its name.
            key: A key of the person: ``id:42``, ``email:…``.

        Raises:
            ValueError: There is no such campaign, or never was such a person.
        """
        return outlook(self._sandbox.state, self._sandbox.rehearsal, campaign, key)

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

    def is_member(self, segment: str, key: str) -> bool:
        """Return whether a person is in a segment now.

        Args:
            segment: Its name.
            key: A key of the person: ``id:42``, ``email:…``.

        Raises:
            ValueError: There is no such segment, or never was such a person.
        """
        return is_member(self._sandbox.state, self._sandbox.rehearsal, segment, key)

    def history(self, key: str) -> str:
        """Return by which identifiers a person is known, and the events, for a message to read.

        Args:
            key: A key of the person: ``id:42``, ``email:…``.

        Raises:
            ValueError: There never was such a person.
        """
        return history(self._sandbox.state, key)
