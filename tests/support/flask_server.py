"""A Flask application behind a real server."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import flask
from werkzeug.serving import WSGIRequestHandler, make_server


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    headers: list[tuple[str, str]]

    @property
    def cookie(self) -> str | None:
        """The first cookie that was set, as it is sent back."""
        return next(
            (value.partition(";")[0] for name, value in self.headers if name == "Set-Cookie"), None
        )


class Server:
    """Asks one application."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, cookie: str | None = None, timeout: float = 200) -> Answer:
        """Send one request on its own connection, and read the whole answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), answer.getheaders())
        finally:
            connection.close()


class Browser:
    """Asks one application over two connections in turn, which it keeps."""

    def __init__(self, port: int) -> None:
        self._connections = [
            http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in "12"
        ]

    def get(self, path: str) -> Answer:
        """One request, until the whole answer is there."""
        self._connections.reverse()
        connection = self._connections[0]
        connection.request("GET", path)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(), answer.getheaders())

    def close(self) -> None:
        """Close the connections."""
        for each in self._connections:
            each.close()


class KeepAlive(WSGIRequestHandler):
    """Keeps connections, and streams in chunks."""

    protocol_version = "HTTP/1.1"
    # A production server prints no line for each request, and sends small answers at once.
    disable_nagle_algorithm = True

    def log_request(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serving(app: flask.Flask, *, keep_alive: bool = False) -> Iterator[Server]:
    """The application on a port of this machine, a thread for each connection."""
    handler = KeepAlive if keep_alive else None
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Server(server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
