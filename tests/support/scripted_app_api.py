"""A server on loopback with scripted answers, which records requests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from trackrelay.app_api import AppApi

KEY = "an-app-api-key"


def reading(url: str, **options: Any) -> AppApi:
    """Return a client of the server."""
    return AppApi(app_api_key=KEY, app_url=url, **options)


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    #: As it came over the wire.
    target: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """One answer: a document becomes JSON, bytes stay as they are."""

    document: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        if isinstance(self.document, bytes):
            return self.document
        return b"" if self.document is None else json.dumps(self.document).encode()


Answers = Callable[[Asked], Reply]


@dataclass
class ScriptedAppApi:
    """The address of the server, and what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def scripted(answers: Answers | list[Reply]) -> Iterator[ScriptedAppApi]:
    """Answer by a function, or with one reply after the other, of which the last stays."""
    replies = list(answers) if isinstance(answers, list) else []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Otherwise each body waits 40 ms for the acknowledgement of its headers.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            asked = Asked(
                self.command,
                self.path,
                {name.lower(): value for name, value in self.headers.items()},
                self.rfile.read(length),
                time.monotonic(),
            )
            with lock:
                state.asked.append(asked)
                listed = replies.pop(0) if len(replies) > 1 else (replies or [None])[0]
            reply = listed if not callable(answers) and listed else answers(asked)  # type: ignore[operator]
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        state = ScriptedAppApi(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=[0.02], daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
