"""The Track API over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import requests
from requests.auth import HTTPBasicAuth

from trackrelay.transport.answers import Answer, NoAnswer
from trackrelay.transport.http_transport import HttpTransport, TooLateError

from .request_builder import REGION_PATH, Request

__all__ = ["TooLateError", "TrackApi"]

#: A longer body is not an answer: documented ones are small.
MAX_ANSWER_BYTES = 4_000_000


class TrackApi:
    """A client of one Track API address. Threads may share it.

    Args:
        base_url: e.g. ``https://track.customer.io``.
        timeout_s: how long a request may take, from connecting to reading the last byte.
        credentials: returns site id and Track API key. It is called before each request, so that
            rotated ones are used at once.
    """

    def __init__(
        self, base_url: str, timeout_s: float, credentials: Callable[[], tuple[str, str]]
    ) -> None:
        self.base_url = base_url
        self.timeout_s = timeout_s
        self.credentials = credentials
        self._transport = HttpTransport(timeout_s, MAX_ANSWER_BYTES)

    def send(self, request: Request, send_until: float = float("inf")) -> Answer | NoAnswer:
        """Send ``request``.

        Args:
            request: what to send.
            send_until: no byte of it may leave later, by ``time.monotonic()``.

        Raises:
            TooLateError: the connection was ready only later; nothing was sent.
        """
        return self._call("POST", request.path, request.body, send_until)

    def region(self) -> Answer | NoAnswer:
        """Ask the region endpoint which region and workspace the credentials belong to."""
        return self._call("GET", REGION_PATH, None, float("inf"))

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _call(
        self, method: str, path: str, body: bytes | None, send_until: float
    ) -> Answer | NoAnswer:
        content_type = {"Content-Type": "application/json"} if body is not None else None
        call = self._transport.call(send_until)
        request = requests.Request(
            method, self.base_url + path, data=body, headers=content_type, auth=self._authorize
        )
        return self._transport.send(request, call)

    def _authorize(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        # Called while the request is prepared: what reading the credentials raises is no answer.
        HTTPBasicAuth(*self.credentials())(prepared)
        return prepared
