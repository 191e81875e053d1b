"""The console for servers that call it in a thread: WSGI, Django's views.

Each request runs in an event loop of its own. The answer is collected before it is passed on; so
parts of a page renew themselves by asking, and not by a stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp

from trackrelay.worker.settings import Settings

from .console_app import console_app
from .console_settings import ConsoleSettings
from .identity import FrameworkUser

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def console_wsgi(
    settings: Settings | None = None,
    *,
    console_settings: ConsoleSettings | None = None,
    user: FrameworkUser | None = None,
) -> WsgiApp:
    """Return the console as a WSGI application, to be mounted below a path.

    Args:
        settings: of the stores; None: those of the process.
        console_settings: who may use it; None: those of the process.
        user: returns the user of a framework instead of signing in here. It gets an ASGI scope with
            the WSGI environment under ``wsgi.environ``.

    Raises:
        ConfigurationError: with one line for each setting that is missing or wrong.
    """
    app = console_app(settings, console_settings=console_settings, user=user, live_mode="poll")

    def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH") or "0"
        size = int(length) if length.isdigit() else 0
        body = environ["wsgi.input"].read(size) if size else b""
        answer = respond(app, scope_of(environ), body)
        status = f"{answer.status} {HTTPStatus(answer.status).phrase}"
        start_response(status, answer.headers)
        return [answer.body]

    return wsgi


def scope_of(environ: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ASGI scope of a WSGI environment."""
    prefix = str(environ.get("SCRIPT_NAME", "")).rstrip("/")
    # WSGI has bytes in Latin-1.
    path = (prefix + str(environ.get("PATH_INFO", ""))).encode("latin-1")
    headers = [
        (name.removeprefix("HTTP_").replace("_", "-").lower().encode(), value.encode("latin-1"))
        for name, value in environ.items()
        if isinstance(value, str)
        and (name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH"))
    ]
    address, port = environ.get("REMOTE_ADDR"), environ.get("REMOTE_PORT")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": path.decode(errors="replace"),
        "root_path": prefix.encode("latin-1").decode(errors="replace"),
        "query_string": str(environ.get("QUERY_STRING", "")).encode("latin-1"),
        "headers": headers,
        "client": (address, int(port or 0)) if address else None,
        "server": (environ.get("SERVER_NAME", ""), int(environ.get("SERVER_PORT") or 0)),
        "wsgi.environ": environ,
    }


def respond(app: ASGIApp, scope: dict[str, Any], body: bytes) -> Answer:
    """Return the answer of ``app`` to one request."""
    return asyncio.run(_respond(app, scope, body))


async def _respond(app: ASGIApp, scope: dict[str, Any], body: bytes) -> Answer:
    start: dict[str, Any] = {}
    content = bytearray()
    ended = asyncio.Event()
    given = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        if (message := next(given, None)) is not None:
            return message
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["type"] == "http.response.body":
            content.extend(message.get("body", b""))
            if not message.get("more_body"):
                ended.set()

    await app(scope, receive, send)
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]
    ]
    return Answer(start["status"], headers, bytes(content))
