"""Requests over HTTP: one deadline for a whole request, no redirects, cookies or retries."""

from __future__ import annotations

import heapq
import http.client
import itertools
import os
import socket
import threading
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from trackrelay.version import __version__

from .answers import Answer, NoAnswer
from .connect_deadline import connect
from .proxies import proxy_problem
from .response_body import TooLongError, bounded_response, decoded

#: Bytes of a response beyond those of its body: status line, headers, chunk sizes and trailers.
EXTRA_BYTES = 1_000_000
POOL_SIZE = 32

_now = threading.local()
#: One for each process: its thread serves all transports, and does not exist in a forked child.
_watchdogs: dict[int, Watchdog] = {}


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
            if call.was_cut:
                raise TimeoutError
            if time.monotonic() > call.send_until:
                raise TooLateError
        super().putrequest(*args, **kwargs)  # type: ignore[misc]


class _Adapter(HTTPAdapter):
    def __init__(self, max_wire_bytes: int) -> None:
        response = bounded_response(max_wire_bytes)
        self._pools = {
            scheme: type(
                "Pool",
                (pool,),
                {
                    "ConnectionCls": type(
                        "Connection", (_Watched, connection), {"response_class": response}
                    )
                },
            )
            for scheme, pool, connection in (
                ("http", HTTPConnectionPool, HTTPConnection),
                ("https", HTTPSConnectionPool, HTTPSConnection),
            )
        }
        super().__init__(pool_connections=4, pool_maxsize=POOL_SIZE, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


class HttpTransport:
    """Sends requests. Threads may share it; a forked child needs its own.

    Args:
        timeout_s: how long a request may take, from connecting to reading the last byte.
        max_answer_bytes: a longer body is not an answer.
    """

    def __init__(self, timeout_s: float, max_answer_bytes: int) -> None:
        self.timeout_s = timeout_s
        self._max_answer_bytes = max_answer_bytes
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"trackrelay/{__version__}"
        # A few compressed bytes can become gigabytes.
        self._session.headers["Accept-Encoding"] = "identity"
        adapter = _Adapter(max_answer_bytes + EXTRA_BYTES)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def call(self, send_until: float = float("inf")) -> Call:
        """Return a call, which begins now.

        Args:
            send_until: no byte of it may leave later, by ``time.monotonic()``.
        """
        return Call(time.monotonic() + self.timeout_s, send_until)

    def send(self, request: requests.Request, call: Call) -> Answer | NoAnswer:
        """Send ``request``.

        Args:
            request: with its credentials in ``auth``; otherwise a ``.netrc`` file would decide.
            call: from :meth:`call`. Another thread may cut it.

        Raises:
            TooLateError: the connection was ready only after ``send_until``; nothing was sent.
        """
        _watchdogs.setdefault(os.getpid(), Watchdog()).watch(call)
        _now.call = call
        try:
            return self._exchange(request, call)
        except TooLateError:
            raise
        except Exception as error:
            # Catch every type: a server can make the libraries raise more than they document.
            if call.was_cut:
                return NoAnswer(f"no answer within {self.timeout_s:g} s")
            cause = _innermost(error)
            if isinstance(cause, TooLongError):
                return NoAnswer(str(cause), is_too_long=True)
            return NoAnswer(proxy_problem(request.url) or _describe(cause))
        finally:
            _now.call = None
            call.done()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _exchange(self, request: requests.Request, call: Call) -> Answer | NoAnswer:
        prepared = self._session.prepare_request(request)
        environment: dict[str, Any] = {
            **self._session.merge_environment_settings(request.url, {}, True, None, None)
        }
        # Not Session.send(): it keeps cookies, and reads the whole body of a redirect.
        with self._session.get_adapter(request.url).send(
            prepared, timeout=self.timeout_s, **environment
        ) as response:
            answer = bytearray()
            for chunk in response.raw.stream(65536, decode_content=False):
                answer += chunk
                if len(answer) > self._max_answer_bytes:
                    return self._too_long()
            # A cut socket looks like the end of a body without a length.
            if call.was_cut:
                return NoAnswer(f"no whole answer within {self.timeout_s:g} s")
            headers = response.headers
            encoding = headers.get("Content-Encoding")
            content = decoded(bytes(answer), encoding, self._max_answer_bytes)
            if content is None:
                return self._too_long()
            return Answer(
                response.status_code, content, headers.get("Retry-After"), headers.get("Date")
            )

    def _too_long(self) -> NoAnswer:
        return NoAnswer(
            f"an answer of more than {self._max_answer_bytes:,} bytes", is_too_long=True
        )


def _innermost(error: BaseException) -> BaseException:
    # The innermost cause says what happened. The outer ones repeat the URL and the pool.
    while (cause := error.__cause__ or error.__context__) is not None and isinstance(
        cause, Exception
    ):
        error = cause
    return error


def _describe(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "the connection timed out"
    if type(error) is http.client.BadStatusLine:
        # Its message quotes the endpoint, which may echo our request or send control characters.
        return "the answer does not begin like HTTP"
    said = f"{type(error).__name__}: {error}"[:300]
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in said)
