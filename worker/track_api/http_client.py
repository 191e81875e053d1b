"""The Track API over HTTP: one deadline for a whole request, no redirects, no automatic retries."""

from __future__ import annotations

import heapq
import http.client
import itertools
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from trackrelay.version import __version__

from .connect_deadline import connect
from .proxies import proxy_problem
from .request_builder import REGION_PATH, Request
from .response_body import BoundedResponse, decoded
from .responses import Answer, NoAnswer

#: A longer body is not an answer: documented ones are small.
MAX_ANSWER_BYTES = 4_000_000
POOL_SIZE = 32

_now = threading.local()


class TooLateError(Exception):
    """The request may not be sent any more, and was not sent."""


class Watchdog:
    """Cuts sockets at their deadlines.

    ``requests`` limits each wait of a request, but not all waits together.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._deadlines: list[tuple[float, int, Call]] = []
        self._order = itertools.count()
        self._started = False

    def watch(self, call: Call) -> None:
        """Cut ``call`` at its deadline."""
        with self._changed:
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="trackrelay-deadlines", daemon=True).start()
            heapq.heappush(self._deadlines, (call.deadline, next(self._order), call))
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._deadlines:
                    self._changed.wait()
                wait = self._deadlines[0][0] - time.monotonic()
                if wait > 0:
                    self._changed.wait(wait)
                    continue
                call = heapq.heappop(self._deadlines)[2]
            call.cut()


class Call:
    """One request under way."""

    def __init__(self, deadline: float, send_until: float) -> None:
        self.deadline = deadline
        self.send_until = send_until
        self.was_cut = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._lent: socket.socket | None = None
        self._done = False

    def connects(self, sock: socket.socket) -> None:
        """Record a connection on which a proxy or the TLS handshake comes first."""
        with self._lock:
            # Keep a handle of our own: TLS detaches the descriptor of this one.
            self._socket = self._lent = sock.dup()

    def uses(self, sock: socket.socket) -> None:
        """Record the socket that carries the request."""
        with self._lock:
            self._socket = sock
            self._return()

    def done(self) -> None:
        """Record the end: the connection may go back to the pool uncut."""
        with self._lock:
            self._done, self._socket = True, None
            self._return()

    def _return(self) -> None:
        if self._lent is not None:
            self._lent.close()
            self._lent = None

    def cut(self) -> None:
        """Cut the connection if the call has not ended."""
        with self._lock:
            if self._done:
                return
            self.was_cut = True
            if self._socket is not None:
                try:
                    # Not SSLSocket.shutdown(): it first removes the TLS layer under the thread that
                    # reads from it.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
                except OSError:
                    return


class _Watched:
    """Tells the call its socket, and checks the time once more before the first byte leaves."""

    sock: Any

    def _new_conn(self) -> socket.socket:
        call: Call | None = getattr(_now, "call", None)
        if call is None:
            return super()._new_conn()  # type: ignore[misc,no-any-return]
        sock = connect(
            self._dns_host,  # type: ignore[attr-defined]
            self.port,  # type: ignore[attr-defined]
            # A later connection is of no use to this request.
            until=min(call.deadline, call.send_until),
            timeout_s=self.timeout,  # type: ignore[attr-defined]
            options=self.socket_options,  # type: ignore[attr-defined]
            source_address=self.source_address,  # type: ignore[attr-defined]
        )
        call.connects(sock)
        return sock

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        call: Call | None = getattr(_now, "call", None)
        if call is not None:
            if self.sock is None:
                self.connect()  # type: ignore[attr-defined]
            call.uses(self.sock)
            if time.monotonic() > call.send_until:
                raise TooLateError
        super().putrequest(*args, **kwargs)  # type: ignore[misc]


class _HTTPConnection(_Watched, HTTPConnection):
    response_class = BoundedResponse


class _HTTPSConnection(_Watched, HTTPSConnection):
    response_class = BoundedResponse


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


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
        self._watchdog = Watchdog()
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"trackrelay/{__version__}"
        # The answers are small, and a few compressed bytes can become gigabytes.
        self._session.headers["Accept-Encoding"] = "identity"
        adapter = _Adapter(pool_connections=4, pool_maxsize=POOL_SIZE, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

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
        self._session.close()

    def _call(
        self, method: str, path: str, body: bytes | None, send_until: float
    ) -> Answer | NoAnswer:
        call = Call(time.monotonic() + self.timeout_s, send_until)
        self._watchdog.watch(call)
        _now.call = call
        try:
            return self._exchange(method, path, body, call)
        except TooLateError:
            raise
        except Exception as error:
            # Catch every type: a server can make the libraries raise more than they document.
            if call.was_cut:
                return NoAnswer(f"no answer within {self.timeout_s:g} s")
            return NoAnswer(proxy_problem(self.base_url) or _describe(error))
        finally:
            _now.call = None
            call.done()

    def _exchange(
        self, method: str, path: str, body: bytes | None, call: Call
    ) -> Answer | NoAnswer:
        url = self.base_url + path
        content_type = {"Content-Type": "application/json"} if body is not None else None
        prepared = self._session.prepare_request(
            requests.Request(method, url, data=body, headers=content_type, auth=self.credentials())
        )
        environment: dict[str, Any] = {
            **self._session.merge_environment_settings(url, {}, True, None, None)
        }
        # Not Session.send(): it keeps cookies, and reads the whole body of a redirect.
        with self._session.get_adapter(url).send(
            prepared, timeout=self.timeout_s, **environment
        ) as response:
            answer = bytearray()
            for chunk in response.raw.stream(65536, decode_content=False):
                answer += chunk
                if len(answer) > MAX_ANSWER_BYTES:
                    return _too_long()
            # A cut socket looks like the end of a body without a length.
            if call.was_cut:
                return NoAnswer(f"no whole answer within {self.timeout_s:g} s")
            headers = response.headers
            content = decoded(bytes(answer), headers.get("Content-Encoding"), MAX_ANSWER_BYTES)
            if content is None:
                return _too_long()
            return Answer(
                response.status_code, content, headers.get("Retry-After"), headers.get("Date")
            )


def _too_long() -> NoAnswer:
    return NoAnswer(f"an answer of more than {MAX_ANSWER_BYTES:,} bytes")


def _describe(error: Exception) -> str:
    # The innermost cause says what happened. The outer ones repeat the URL and the pool.
    while (cause := error.__cause__ or error.__context__) is not None and isinstance(
        cause, Exception
    ):
        error = cause
    if isinstance(error, TimeoutError):
        return "the connection timed out"
    if type(error) is http.client.BadStatusLine:
        # Its message quotes the endpoint, which may echo our request or send control characters.
        return "the answer does not begin like HTTP"
    said = f"{type(error).__name__}: {error}"[:300]
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in said)
