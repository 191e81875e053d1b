"""What is enqueued in a request waits until its response has been sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import flask
from werkzeug.wsgi import ClosingIterator

from ..append import Entry

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Send = Callable[[Sequence[Entry]], None]
_KEY = "trackrelay.waiting"


class Waiting:
    """The operations of one request, until they are sent."""

    def __init__(self) -> None:
        self._send: Send | None = None
        self._entries: list[Entry] = []
        #: Whether operations can still be added.
        self.is_open = True

    def add(self, entries: Sequence[Entry], send: Send) -> None:
        """Let ``entries`` wait for ``send``, which raises nothing."""
        self._entries += entries
        self._send = send

    def send(self) -> None:
        """Send everything; what comes later has nothing to wait for."""
        self.is_open = False
        entries, self._entries = self._entries, []
        if self._send is not None and entries:
            self._send(entries)


def waiting() -> Waiting | None:
    """Where operations of the current request can wait; None outside a request, or after its response."""
    if not flask.has_request_context():
        return None
    found = flask.request.environ.get(_KEY)
    return found if isinstance(found, Waiting) and found.is_open else None


class AfterResponse:
    """WSGI middleware: sends what waits when the server is done with a response, or with the error in its place.

    Around everything, for a response that an application's own middleware replaces is never closed.

    Args:
        at_once: asked at each request: whether to send before the response instead. Test clients close a response late or never.
    """

    def __init__(self, app: WSGIApplication, at_once: Callable[[], bool]) -> None:
        self._app = app
        self._at_once = at_once

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        waiting = environ[_KEY] = Waiting()
        try:
            body = self._app(environ, start_response)
        except BaseException:
            waiting.send()
            raise
        if self._at_once():
            waiting.send()
            return body
        return ClosingIterator(body, waiting.send)
