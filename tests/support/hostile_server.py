"""A server on loopback that answers a request in the worst ways there are."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
MEGABYTE = 1_000_000


@dataclass
class Hostile:
    """What the server has sent and was sent."""

    port: int
    sent_bytes: int = 0
    requests: list[bytes] = field(default_factory=list)


Says = Callable[[], Iterator[bytes]]


def sized(body: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    """An answer with a length."""
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, headers, len(body), body)


def once(data: bytes) -> Says:
    """The same bytes, once."""
    return lambda: iter((data,))


def endless(beginning: bytes, more: bytes) -> Says:
    """A beginning, and then the same for ever."""

    def say() -> Iterator[bytes]:
        yield beginning
        while True:
            yield more

    return say


def _bomb() -> bytes:
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
    zeros = b"0" * (1 << 24)
    return b"".join([compressor.compress(zeros) for _ in range(16)]) + compressor.flush()


def compressed(times: int) -> Says:
    """A body of a few hundred kilobytes that becomes 268 MB, compressed once or twice."""

    def say() -> Iterator[bytes]:
        body = _bomb()
        for _ in range(times - 1):
            body = gzip.compress(body)
        yield sized(body, headers=b"Content-Encoding: %s\r\n" % b", ".join([b"gzip"] * times))

    return say


#: Nothing of use comes back, in one way or another.
NO_ANSWER: dict[str, Says] = {
    "a body without end": endless(OK + b"Connection: close\r\n\r\n", b"x" * MEGABYTE),
    "chunks without end": endless(CHUNKED, b"F4240\r\n" + b"x" * MEGABYTE + b"\r\n"),
    "the size of a chunk is too much": once(CHUNKED + b"F" * 100 + b"\r\n" + b"x" * 1000),
    "the size of a chunk is negative": once(CHUNKED + b"-5\r\nhello\r\n"),
    "the size of a chunk never ends": endless(CHUNKED, b"0" * MEGABYTE),
    "the extension of a chunk never ends": endless(CHUNKED + b"1;", b"a" * MEGABYTE),
    "trailers without end": endless(
        CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-A: " + b"b" * 60_000 + b"\r\n"
    ),
    "hundreds of megabytes, compressed": compressed(1),
    "not compressed, as it says": once(sized(b"{}", headers=b"Content-Encoding: gzip\r\n")),
    "headers without end": endless(OK, b"X-A: " + b"y" * 1000 + b"\r\n"),
    "a header without end": endless(OK + b"X-A: ", b"a" * MEGABYTE),
    "a status line without end": endless(b"", b"HTTP" * 250_000),
    "nothing but interim answers": endless(b"", b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * 10_000),
    "less than it says": once(OK + b"Content-Length: 1000\r\n\r\n{}"),
    "two lengths": once(OK + b"Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}"),
    "a reset": once(b""),
    "no HTTP": once(b"\x16\x03\x01\x00" * 100),
    "HTTP of 1991": once(b"{}"),
    "a status of twenty digits": once(b"HTTP/1.1 99999999999999999999 X\r\n\r\n"),
    "a status of zero": once(b"HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n"),
}

#: An answer arrives, and is not a documented one.
UNKNOWN_ANSWER: dict[str, Says] = {
    "compressed twice": compressed(2),
    "compressed five thousand times": once(
        sized(b"x", headers=b"Content-Encoding: " + b", ".join([b"gzip"] * 5000) + b"\r\n")
    ),
    "too short a length": once(OK + b"Content-Length: 1\r\n\r\n{}"),
    "a thousand brackets": once(sized(b"[" * 1500)),
    "a refusal of a thousand brackets": once(sized(b"[" * 1500, b"400 Bad Request")),
    "an outage of a thousand brackets": once(sized(b"[" * 1500, b"503 Service Unavailable")),
    "other protocols": once(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
    "a body where none can be": once(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
    "a wait of a number without end": once(sized(b"{}", b"429 Slow", b"Retry-After: 1e308\r\n")),
    "a redirect with a body without end": endless(
        b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\n\r\n",
        b"x" * MEGABYTE,
    ),
    "a redirect to a file": once(sized(b"", b"301 X", b"Location: file:///etc/passwd\r\n")),
    "a redirect to nothing": once(sized(b"", b"302 X", b"Location: http://[\r\n")),
}

#: Strange, but still the documented answer.
ACCEPTED: dict[str, Says] = {
    "with early hints": once(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 50 + sized(b"{}")),
    "without a readable length": once(
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\nConnection: close\r\n\r\n{}"
    ),
    "compressed without being asked": once(
        sized(gzip.compress(b"{}"), headers=b"Content-Encoding: gzip\r\n")
    ),
    "in chunks": once(CHUNKED + b"1;a=b\r\n{\r\n1\r\n}\r\n0\r\nX-A: b\r\n\r\n"),
}


def cookies(count: int) -> bytes:
    """An answer that sets large cookies for ever."""
    one = b"Set-Cookie: c%d=" + b"v" * 4000 + b"; Max-Age=99999999; Path=/\r\n"
    return sized(b"{}", headers=b"".join([one % number for number in range(count)]))


@contextlib.contextmanager
def answering(say: Says) -> Iterator[Hostile]:
    """A server that reads a request, answers with ``say()`` and closes, for each connection."""

    def serve(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while request := _request(client):
                server.requests.append(request)
                for data in say():
                    client.sendall(data)
                    server.sent_bytes += len(data)
                if b"Content-Length: 2\r\n\r\n{}" not in data:
                    # The connection ends here: nothing else ends the answer.
                    client.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=[listening.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Hostile(listening.getsockname()[1])
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def _request(client: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data or not data.endswith(b"}"):
        more = client.recv(65536)
        if not more:
            return b""
        data += more
    return data
