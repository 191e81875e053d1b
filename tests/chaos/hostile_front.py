"""A proxy before the sandbox, as in a company's network.

Made hostile, it answers by itself, and badly.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

#: Deeper than any parser follows that calls itself.
DEEP = b"[" * 100_000
HTML = b"<html><body><h1>Bad gateway</h1></body></html>"
#: An endless answer stops after this many bytes.
ENDLESS_BYTES = 200_000_000

Answer = Callable[["_Handler"], None]


class HostileFront:
    """Passes requests to the sandbox, unless it is set to be hostile."""

    def __init__(self, url: str, seed: int = 1) -> None:
        self.target = urlsplit(url).netloc
        self.chance = random.Random(seed)
        #: How it is hostile, and to which share of the requests.
        self.how: Answer | None = None
        self.rate = 1.0
        #: Requests that it was hostile to.
        self.struck = 0
        #: The longest headers of a request, in bytes.
        self.longest_headers = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.front = self  # type: ignore[attr-defined]

    @property
    def url(self) -> str:
        """Where the workers reach it."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> Self:
        """Listen."""
        threading.Thread(
            target=self._server.serve_forever, name="hostile-front", daemon=True
        ).start()
        return self

    def attack(self, how: Answer, rate: float = 1.0) -> None:
        """Be hostile to a share of the operations' requests."""
        self.how, self.rate = how, rate

    def behave(self) -> None:
        """Pass everything on."""
        self.how = None

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any
    body: bytes

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(60)

    def _handle(self) -> None:
        front: HostileFront = self.server.front
        front.longest_headers = max(front.longest_headers, len(bytes(self.headers)))
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        how = front.how
        about_account = self.path.startswith("/api/v1/accounts/")
        with contextlib.suppress(OSError):
            if how is None or about_account or front.chance.random() >= front.rate:
                self.say(*self.pass_on())
                return
            front.struck += 1
            how(self)

    do_GET = do_POST = do_PUT = do_DELETE = _handle

    def pass_on(self) -> tuple[int, bytes]:
        """Ask the sandbox; its status and body."""
        connection = http.client.HTTPConnection(self.server.front.target, timeout=30)
        try:
            headers = {
                name: value for name, value in self.headers.items() if name.lower() != "host"
            }
            connection.request(self.command, self.path, self.body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def say(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        """Answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


# -- ways to be hostile; but for the last two, nothing takes effect


def deep_brackets(request: _Handler) -> None:
    """JSON so deep that parsers call themselves to death."""
    request.say(request.server.front.chance.choice((200, 207, 400, 503)), DEEP)


def garbage(request: _Handler) -> None:
    """Bytes that are no HTTP."""
    request.wfile.write(b"\x16\x03\x01\x00" * 100)
    request.close_connection = True


def endless_body(request: _Handler) -> None:
    """A body that does not end, as fast as it is taken."""
    request.send_response(200)
    request.send_header("Content-Type", "application/json")
    request.send_header("Connection", "close")
    request.end_headers()
    for _ in range(ENDLESS_BYTES // 1_000_000):
        request.wfile.write(b" " * 1_000_000)


def endless_headers(request: _Handler) -> None:
    """Headers that do not end, one every tenth of a second."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(300):
        request.wfile.write(b"X-%d: %s\r\n" % (number, b"y" * 100))
        request.wfile.flush()
        time.sleep(0.1)


def cookies(request: _Handler) -> None:
    """503 with cookies that a browser would carry along from now on."""
    number = request.server.front.struck
    request.send_response(503)
    for each in range(20):
        request.send_header("Set-Cookie", f"c{number}-{each}={'v' * 2_000}; Max-Age=99999999")
    request.send_header("Content-Length", "0")
    request.end_headers()


def control_characters(request: _Handler) -> None:
    """Return a refusal from the wrong server, with NUL, escapes and markup in its text."""
    words = {"reason": "r\x00", "field": "\x1b[31m<script>", "message": "\x00\x9b31m\x1b]0;x\x07"}
    request.say(503, json.dumps({"errors": [words]}).encode())


def numbers_too_large(request: _Handler) -> None:
    """JSON whose numbers no machine holds."""
    request.say(207, b'{"errors": [{"batch_index": 1e400}, {"batch_index": %s}]}' % (b"9" * 5_000))


def long_wait(request: _Handler) -> None:
    """A proxy's error page that asks for a day's patience."""
    request.say(503, HTML, "text/html", Retry_After="86400")


def doubled_errors(request: _Handler) -> None:
    """The sandbox's own 207, with two errors for each refused operation."""
    status, body = request.pass_on()
    if status == 207:
        errors = json.loads(body)["errors"]
        more = [{**each, "field": "attributes.second", "message": "also wrong"} for each in errors]
        body = json.dumps(
            {"errors": [pair for both in zip(errors, more, strict=True) for pair in both]}
        ).encode()
    request.say(status, body)


def empty_errors(request: _Handler) -> None:
    """207 without any error, where the sandbox took everything."""
    status, body = request.pass_on()
    if status == 200 and request.path == "/api/v2/batch":
        status, body = 207, b'{"errors": []}'
    request.say(status, body)
