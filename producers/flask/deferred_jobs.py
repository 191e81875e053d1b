"""Enqueue the jobs of a request together, before the last byte of the response.

A visitor's next request begins after that byte, so its jobs follow those of this request.
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
        """Keep ``entries`` until they are passed to ``send``, which never raises."""
        self._entries += entries
        self._send = send

    def send(self) -> None:
        """Send the waiting jobs."""
        entries, self._entries = self._entries, []
        if self._send is not None and entries:
            self._send(entries)

    def close(self) -> None:
        """Send the waiting jobs. Later jobs do not wait."""
        self.is_open = False
        self.send()


def deferred_jobs() -> DeferredJobs | None:
    """Return the waiting jobs of the current request; None outside a request, or after its end."""
    if not flask.has_request_context():
        return None
    found = flask.request.environ.get(_KEY)
    return found if isinstance(found, DeferredJobs) and found.is_open else None


class JobSender:
    """Send the jobs of a request after the view, and those of a streamed response at its end.

    This is WSGI middleware, and the outermost one: if another middleware replaces a response, the
    first one is never closed.

    Args:
        after_response: called for each request; returns whether to send only after the server has
            closed the response.
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
        # The server sends the headers together with the first part of the body.
        jobs.send()
        return ClosingIterator(_sending(body, jobs), [getattr(body, "close", _nothing), jobs.close])


def _sending(body: Iterable[bytes], jobs: DeferredJobs) -> Iterator[bytes]:
    yield from body
    # The server still has to send the end marker of a chunked body.
    jobs.send()


def _nothing() -> None:
    return None
