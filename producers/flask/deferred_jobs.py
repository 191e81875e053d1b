"""Jobs of a request wait for its end and then leave together, ahead of the response's last byte.

A visitor's next request begins after that byte, so its jobs come after those of this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import flask
from werkzeug.wsgi import ClosingIterator

from trackrelay.queue.append import Entry

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Send = Callable[[Sequence[Entry]], None]
_KEY = "trackrelay.deferred_jobs"


class DeferredJobs:
    """The jobs of one request, until they are sent."""

    def __init__(self) -> None:
        self._send: Send | None = None
        self._entries: list[Entry] = []
        #: Whether jobs can still be added.
        self.is_open = True

    def add(self, entries: Sequence[Entry], send: Send) -> None:
        """Let ``entries`` wait for ``send``, which raises nothing."""
        self._entries += entries
        self._send = send

    def send(self) -> None:
        """Send what waits."""
        entries, self._entries = self._entries, []
        if self._send is not None and entries:
            self._send(entries)

    def close(self) -> None:
        """Send what waits; a later job has nothing to wait for."""
        self.is_open = False
        self.send()


def deferred_jobs() -> DeferredJobs | None:
    """Return where jobs of the current request can wait; None outside a request, or after its end."""
    if not flask.has_request_context():
        return None
    found = flask.request.environ.get(_KEY)
    return found if isinstance(found, DeferredJobs) and found.is_open else None


class JobSender:
    """WSGI middleware: sends the jobs of a request when the view has returned, and those of a stream at its end.

    It is the outermost one, for a response that an application's own middleware replaces is never closed.

    Args:
        after_response: asked at each request: whether to send only when the server has closed the response.
    """

    def __init__(self, app: WSGIApplication, after_response: Callable[[], bool]) -> None:
        self._app = app
        self._after_response = after_response

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        jobs = environ[_KEY] = DeferredJobs()
        try:
            body = self._app(environ, start_response)
        except BaseException:
            jobs.close()
            raise
        if self._after_response():
            return ClosingIterator(body, jobs.close)
        # A server sends the headers with the first part of the body.
        jobs.send()
        return ClosingIterator(_sending(body, jobs), [getattr(body, "close", _nothing), jobs.close])


def _sending(body: Iterable[bytes], jobs: DeferredJobs) -> Iterator[bytes]:
    yield from body
    # The server has yet to send the mark of a chunked body's end.
    jobs.send()


def _nothing() -> None:
    return None
