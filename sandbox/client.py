"""Talking to a running sandbox about itself."""

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
    """One accepted operation, in the order of `seq`."""

    seq: int
    #: Unix seconds.
    at: float
    type: str
    action: str
    name: str | None
    keys: list[str]
    id: str | None
    #: The endpoint's path, with names in braces for what varies.
    path: str
    timestamp: int | None
    attributes: JsonObject | None
    #: Accepted, but nothing came of it; `note` says why, or what went wrong besides.
    ignored: bool
    note: str | None


class RequestRecord(TypedDict):
    """One request; `status` and `finished` are null if it was not answered, or not yet."""

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
    """The sandbox refused a question, or has forgotten what was asked for."""


class SandboxClient:
    """Asks a sandbox what it saw, and tells it to misbehave.

    Args:
        url: where it listens: `http://127.0.0.1:8462`.
        timeout_s: how long to wait for an answer.
    """

    def __init__(self, url: str, timeout_s: float = 30) -> None:
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        # A proxy of the environment is not meant for this.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def add_fault(self, **fault: Any) -> int:
        """Put a fault in force: `kind=`, `status=`, `match={…}`, `times=` …; returns its number."""
        return int(self._ask("POST", "faults", fault)["id"])

    def faults(self) -> list[JsonObject]:
        """The faults in force, with `hits`."""
        return list(self._ask("GET", "faults")["faults"])

    def delete_fault(self, number: int) -> None:
        """End a fault; requests it holds are let go."""
        self._ask("DELETE", f"faults/{number}")

    def clear_faults(self) -> None:
        """End all faults."""
        self._ask("DELETE", "faults")

    @contextmanager
    def outage(self, status: int = 503, **fault: Any) -> Iterator[int]:
        """Nothing works inside the `with`; gives the number of the fault."""
        number = self.start_outage(status, **fault)
        try:
            yield number
        finally:
            self.end_outage()

    def start_outage(self, status: int = 503, **fault: Any) -> int:
        """Nothing works until `end_outage()`."""
        return int(self._ask("POST", "outage", {"status": status, **fault})["id"])

    def end_outage(self) -> None:
        """Everything works again."""
        self._ask("DELETE", "outage")

    def effects(self, after: int = 0, *, ignored: bool = False) -> Iterator[Effect]:
        """What took effect after `after`, in order; with `ignored`, also what was accepted and came to nothing.

        Raises `SandboxError` if the sandbox has already forgotten some of it.
        """
        self._check_kept(after, "first_effect")
        yield from self._pages("effects", after, {"ignored": "1"} if ignored else {})

    def events(self, after: int = 0) -> Iterator[Effect]:
        """The events that took effect: each ULID once."""
        self._check_kept(after, "first_effect")
        yield from self._pages("events", after, {})

    def requests(self, after: int = 0) -> Iterator[RequestRecord]:
        """The requests that are still remembered, in the order they came in."""
        yield from self._pages("requests", after, {})

    def duplicates(self) -> dict[str, int]:
        """ULIDs that came again, and how often they were ignored."""
        return dict(self._ask("GET", "duplicates")["duplicates"])

    def summary(self) -> Summary:
        """Counts since the start or the last reset."""
        summary: Summary = self._ask("GET", "summary")
        return summary

    def people(self) -> Iterator[JsonObject]:
        """Everybody."""
        yield from self._pages("people", 0, {})

    def person(self, key: str) -> JsonObject | None:
        """One person by a key (`id:42`, `email:…`, `phone:…`, `cio_id:…`, `anonymous:…`), None if there is nobody."""
        try:
            return dict(self._ask("GET", f"people/{quote(key, safe='')}"))
        except SandboxError as error:
            if error.args[1] == 404:
                return None
            raise

    def objects(self) -> list[JsonObject]:
        """All objects, with the people related to them."""
        return list(self._ask("GET", "objects")["objects"])

    def others(self) -> JsonObject:
        """`segments`, `forms`, `deliveries`, `suppressed`, `anonymous_events`."""
        return dict(self._ask("GET", "others"))

    def set_credentials(self, **credentials: str) -> None:
        """Change `site_id`, `api_key`, `app_api_key`: those before are refused from now on."""
        self._ask("PUT", "credentials", credentials)

    def settings(self, **changes: Any) -> JsonObject:
        """The settings (`latency_s`, `rate_limit`, `region`, `environment_id`, …), after changing some."""
        return dict(self._ask("PUT" if changes else "GET", "settings", changes or None))

    def set_recipient(self, delivery_id: str, person: str) -> None:
        """Say to whom a message went (`id:42`), so that an unsubscribe finds them."""
        self._ask("PUT", f"deliveries/{quote(delivery_id, safe='')}", {"person": person})

    def reset(self) -> None:
        """Make it as just started."""
        self._ask("POST", "reset")

    def _check_kept(self, after: int, first: str) -> None:
        kept_from = int(self._ask("GET", "summary")[first])
        if after + 1 < kept_from:
            raise SandboxError(
                f"what came before {kept_from} is forgotten: start with a larger --max-effects", 410
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
