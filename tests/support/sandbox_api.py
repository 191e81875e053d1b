"""Calls the sandbox as anybody would: over HTTP, with no client of ours between."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any, NamedTuple

from trackrelay.sandbox import SandboxClient, SandboxProcess


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class Api:
    """The Track API and the App API of a sandbox."""

    def __init__(self, server: SandboxProcess) -> None:
        self.server = server
        self.client: SandboxClient = server.client
        self.port = int(server.url.rpartition(":")[2])
        self.auth = basic(server.site_id, server.api_key)

    def call(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        raw: bytes | None = None,
        auth: str | None = "",
        content_type: str | None = "application/json",
        timeout: float = 60,
        more_headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request; `auth=None` sends no credentials, `raw` sends a body unchanged."""
        body = raw if raw is not None or document is None else json.dumps(document).encode()
        headers = {
            "Authorization": self.auth if auth == "" else auth,
            "Content-Type": content_type,
            **(more_headers or {}),
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(
                method, path, body, {name: value for name, value in headers.items() if value}
            )
            answer = connection.getresponse()
            return Answer(
                answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            )
        finally:
            connection.close()

    def app(self, method: str, path: str, document: Any = None, **more: Any) -> Answer:
        """Ask the App API."""
        return self.call(method, path, document, auth=f"Bearer {self.server.app_api_key}", **more)

    def activities(self, query: str = "") -> list[dict[str, Any]]:
        """The activities of the workspace, the newest first."""
        answer = self.app("GET", f"/v1/activities?limit=100&{query}")
        assert answer.status == 200, answer
        found: list[dict[str, Any]] = answer.json["activities"]
        return found

    def entity(self, **operation: Any) -> Answer:
        """Send one operation of v2."""
        return self.call("POST", "/api/v2/entity", operation)

    def batch(self, *operations: Any) -> Answer:
        """Send operations of v2 together."""
        return self.call("POST", "/api/v2/batch", {"batch": list(operations)})

    def identify(self, identifiers: dict[str, str], **attributes: Any) -> None:
        """Identify a person, which must be accepted."""
        answer = self.entity(
            type="person", action="identify", identifiers=identifiers, attributes=attributes
        )
        assert answer.status == 200, answer

    def track(self, identifiers: dict[str, str], name: str, **more: Any) -> None:
        """Send an event, which must be accepted."""
        answer = self.entity(
            type="person", action="event", identifiers=identifiers, name=name, **more
        )
        assert answer.status == 200, answer

    def person(self, key: str) -> dict[str, Any]:
        """Return a person that must exist."""
        person = self.client.person(key)
        assert person is not None, f"there is nobody called {key}"
        return person

    def notes(self) -> list[str | None]:
        """What is noted about each accepted operation."""
        return [effect["note"] for effect in self.client.effects(ignored=True)]

    def event_names(self, key: str) -> list[str]:
        """Return the names of a person's events."""
        return [event["name"] for event in self.person(key)["events"]]


def basic(user: str, password: str) -> str:
    """An Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
