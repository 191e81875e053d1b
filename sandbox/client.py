"""A client for the control endpoints of a running sandbox."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypedDict
from urllib.parse import quote, urlencode

JsonObject = dict[str, Any]


class Effect(TypedDict):
    """One accepted operation; ``seq`` gives the order."""

    seq: int
    #: Unix seconds.
    at: float
    type: str
    action: str
    name: str | None
    keys: list[str]
    id: str | None
    #: The path of the endpoint, with names in braces for identifiers.
    path: str
    timestamp: int | None
    attributes: JsonObject | None
    #: Whether the operation was accepted but changed nothing; ``note`` says why.
    ignored: bool
    note: str | None


class RequestRecord(TypedDict):
    """One request; ``status`` and ``finished`` are None while, or if, there is no answer."""

    seq: int
    at: float
    finished: float | None
    method: str
    path: str
    query: str
    headers: dict[str, str]
    status: int | None
    bytes: int
    operations: int
    fault: str | None
    body: Any


class Summary(TypedDict):
    """Counts since the start or the last reset."""

    requests: int
    operations: int
    effects: int
    events: int
    duplicates_ignored: int
    ignored: int
    rejected: int
    concurrent: int
    max_concurrent: int
    peak_per_second: int
    by_path: dict[str, int]
    by_action: dict[str, int]
    by_status: dict[str, int]
    people: int
    objects: int
    first_effect: int
    first_request: int


class SandboxError(Exception):
    """The sandbox refused a request, or no longer remembers what it asks for."""


class SandboxClient:
    """Reads what a sandbox saw, and makes it misbehave.

    Args:
        url: The address of the sandbox: ``http://127.0.0.1:8462``.
        timeout_s: How long to wait for an answer.
    """

    def __init__(self, url: str, timeout_s: float = 30) -> None:
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        # A proxy that the environment names does not reach a local sandbox.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def add_fault(self, **fault: Any) -> int:
        """Add a fault (``kind=``, ``status=``, ``match={…}``, ``times=`` …); return its number."""
        return int(self._ask("POST", "faults", fault)["id"])

    def faults(self) -> list[JsonObject]:
        """Return the faults in force, with their ``hits``."""
        return list(self._ask("GET", "faults")["faults"])

    def delete_fault(self, number: int) -> None:
        """Delete a fault; requests that it holds are released."""
        self._ask("DELETE", f"faults/{number}")

    def clear_faults(self) -> None:
        """Delete all faults."""
        self._ask("DELETE", "faults")

    @contextmanager
    def outage(self, status: int = 503, **fault: Any) -> Iterator[int]:
        """Refuse every request inside the ``with``; yield the number of the fault."""
        number = self.start_outage(status, **fault)
        try:
            yield number
        finally:
            self.end_outage()

    def start_outage(self, status: int = 503, **fault: Any) -> int:
        """Refuse every request until ``end_outage()``; return the number of the fault."""
        return int(self._ask("POST", "outage", {"status": status, **fault})["id"])

    def end_outage(self) -> None:
        """End all outages."""
        self._ask("DELETE", "outage")

    def effects(self, after: int = 0, *, ignored: bool = False) -> Iterator[Effect]:
        """Return the effects after number ``after``, in order.

        Args:
            after: The number of the last effect that is known already.
            ignored: Whether to include operations that were accepted but changed nothing.

        Raises:
            SandboxError: The sandbox no longer remembers some of them.
        """
        self._check_kept(after, "first_effect")
        yield from self._pages("effects", after, {"ignored": "1"} if ignored else {})

    def events(self, after: int = 0) -> Iterator[Effect]:
        """Return the events that took effect: each ULID once."""
        self._check_kept(after, "first_effect")
        yield from self._pages("events", after, {})

    def requests(self, after: int = 0) -> Iterator[RequestRecord]:
        """Return the remembered requests, in the order they arrived."""
        yield from self._pages("requests", after, {})

    def duplicates(self) -> dict[str, int]:
        """Return the repeated ULIDs, with how often each was ignored."""
        return dict(self._ask("GET", "duplicates")["duplicates"])

    def summary(self) -> Summary:
        """Return the counts since the start or the last reset."""
        summary: Summary = self._ask("GET", "summary")
        return summary

    def people(self) -> Iterator[JsonObject]:
        """Return all people."""
        yield from self._pages("people", 0, {})

    def person(self, key: str) -> JsonObject | None:
        """Return a person by a key (``id:42``, ``email:…``, ``cio_id:…``, ``anonymous:…``)."""
        try:
            return dict(self._ask("GET", f"people/{quote(key, safe='')}"))
        except SandboxError as error:
            if error.args[1] == 404:
                return None
            raise

    def objects(self) -> list[JsonObject]:
        """Return all objects, with the people related to them."""
        return list(self._ask("GET", "objects")["objects"])

    def others(self) -> JsonObject:
        """Return ``segments``, ``forms``, ``deliveries``, ``suppressed``, ``anonymous_events``."""
        return dict(self._ask("GET", "others"))

    def set_credentials(self, **credentials: str) -> None:
        """Change ``site_id``, ``api_key``, ``app_api_key``; the previous ones are refused."""
        self._ask("PUT", "credentials", credentials)

    def settings(self, **changes: Any) -> JsonObject:
        """Return the settings (``latency_s``, ``rate_limit``, …), after changing some."""
        return dict(self._ask("PUT" if changes else "GET", "settings", changes or None))

    def set_recipient(
        self, delivery_id: str, person: str, *, created: int | None = None, **fields: Any
    ) -> None:
        """Set the recipient of a message (``id:42``), so that an unsubscribe reaches them.

        The App API shows it among the person's messages.

        Args:
            delivery_id: The id of the message.
            person: A key of the recipient.
            created: Unix seconds; by default, now.
            fields: More of the message: ``type="email"``, ``subject=`` …
        """
        message = {"person": person, "created": created, "fields": fields}
        self._ask("PUT", f"deliveries/{quote(delivery_id, safe='')}", message)

    def lose(self, kind: str, **loss: Any) -> int:
        """Accept matching operations, but lose a part or everything; return the loss's number.

        Args:
            kind: attribute, event, operation, failed_attribute or failed_event.
            loss: ``name=`` of the attribute or event, ``action=`` of the operation, ``person=``,
                ``reason=``, ``times=``, ``skip=``, ``rate=``.
        """
        return int(self._ask("POST", "losses", {"kind": kind, **loss})["id"])

    def losses(self) -> list[JsonObject]:
        """Return the losses in force, with their ``hits``."""
        return list(self._ask("GET", "losses")["losses"])

    def delete_loss(self, number: int) -> None:
        """Delete a loss."""
        self._ask("DELETE", f"losses/{number}")

    def clear_losses(self) -> None:
        """Delete all losses."""
        self._ask("DELETE", "losses")

    def overwrite(self, person: str, name: str, value: Any) -> None:
        """Let another writer set an attribute of a person (``id:42``); None removes it."""
        self._intervene("overwrite", person=person, name=name, value=value)

    def take_over(self, email: str, person: str) -> None:
        """Give an email address to a person, created if needed; who has it loses it."""
        self._intervene("take_over", email=email, person=person)

    def suppress(self, person: str) -> None:
        """Delete and suppress a person; the activity log shows no later operation."""
        self._intervene("suppress", person=person)

    def forget_cio_id(self, cio_id: str) -> None:
        """Let nobody have a cio_id any more."""
        self._intervene("forget_cio_id", cio_id=cio_id)

    def _intervene(self, kind: str, **intervention: Any) -> None:
        self._ask("POST", "interventions", {"kind": kind, **intervention})

    def define_segment(self, conditions: JsonObject | None = None, **segment: Any) -> int:
        """Define a segment, by default a manual one; return its id.

        Args:
            conditions: A filter as in the App API's search of people, which can have events, too:
                ``{"event": {"name": "order_placed", "at_least": 1, "days": 30}}``.
            segment: ``id=``, ``name=``, ``description=``, ``tags=``.
        """
        return int(self._ask("POST", "segments", {"conditions": conditions, **segment})["id"])

    def define_campaign(self, name: str, **campaign: Any) -> None:
        """Define a campaign, or replace the one with this name.

        Args:
            name: By which :meth:`outlook` asks for it.
            campaign: ``trigger=``, ``wait=``, ``unless=``, ``filter=``, ``channel=``: see
                ``trackrelay.worker.testing.DeliveringSandbox.define_campaign``.
        """
        self._ask("POST", "campaigns", {"name": name, **campaign})

    def advance(self, span: str | float) -> None:
        """Move the sandbox's clock forward: ``"1h"``, ``"30d"``, or seconds."""
        self._ask("POST", "clock", {"advance": span})

    def messages(self) -> list[JsonObject]:
        """Return the messages that campaigns would have sent: ``campaign``, ``person``, ``at``."""
        return list(self._ask("GET", "messages")["messages"])

    def outlook(self, campaign: str, person: str) -> JsonObject:
        """Return whether a campaign sends a person (``id:42``) its message, and why.

        ``sends`` has the times of sending, in seconds since the start, as if nothing else happened;
        ``reason`` and ``details`` explain it.
        """
        query = urlencode({"campaign": campaign, "person": person})
        return dict(self._ask("GET", f"outlook?{query}"))

    def set_object_type(self, number: int, **names: Any) -> None:
        """Name an object type: ``name=``, ``singular_name=`` and others of the App API."""
        self._ask("PUT", f"object_types/{number}", names)

    def set_topics(self, topics: list[JsonObject], **header: str) -> None:
        """Define the topics of the subscription center, and its ``title=`` and ``subtitle=``."""
        self._ask("PUT", "topics", {"topics": topics, **header})

    def add_esp_suppression(self, email: str, type: str, **suppression: Any) -> None:
        """Add an address that the email service provider suppressed.

        Args:
            email: The address.
            type: bounces, blocks, spam_reports or invalid_emails.
            suppression: ``domain=``, ``reason=``, ``status=``, ``created=``.
        """
        self._ask("POST", "esp_suppressions", {"email": email, "type": type, **suppression})

    def reset(self) -> None:
        """Forget everything, as after a start."""
        self._ask("POST", "reset")

    def _check_kept(self, after: int, first: str) -> None:
        kept_from = int(self._ask("GET", "summary")[first])
        if after + 1 < kept_from:
            raise SandboxError(
                f"effects before {kept_from} are forgotten: start with a larger --max-effects", 410
            )

    def _pages(self, name: str, after: int | None, query: dict[str, str]) -> Iterator[Any]:
        while after is not None:
            page = self._ask("GET", f"{name}?{urlencode({'after': after, **query})}")
            yield from page[name]
            after = page["next"]

    def _ask(self, method: str, path: str, document: JsonObject | None = None) -> Any:
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{self.url}/_sandbox/{path}", body, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with self._opener.open(request, timeout=self.timeout_s) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise SandboxError(
                f"{method} {path}: {error.read().decode(errors='replace')}", error.code
            ) from None
