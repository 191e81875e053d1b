"""A Flask application behind a real server."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import flask
from werkzeug.serving import make_server


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    headers: list[tuple[str, str]]

    @property
    def cookie(self) -> str | None:
        """The first cookie that was set, as it is sent back."""
        return next((value.partition(";")[0] for name, value in self.headers if name == "Set-Cookie"), None)


class Server:
    """Asks one application."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, cookie: str | None = None, timeout: float = 200) -> Answer:
        """One request, on a connection of its own, until the whole answer is there."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), answer.getheaders())
        finally:
            connection.close()


@contextmanager
def serving(app: flask.Flask) -> Iterator[Server]:
    """The application on a port of this machine, a thread for each request."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Server(server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
