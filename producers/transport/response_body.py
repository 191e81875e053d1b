"""The bytes of a response: how many are read, and how they are decompressed."""

from __future__ import annotations

import http.client
import io
import socket
import zlib
from typing import Any

#: Interim responses (100 to 199) that may come first.
MAX_INTERIM = 100

#: zlib's ``wbits`` for each encoding.
_ENCODINGS = {"gzip": 31, "x-gzip": 31, "deflate": 47}


class TooLongError(http.client.HTTPException):
    """A response has more bytes than it may have."""


class BoundedResponse(http.client.HTTPResponse):
    """A response that fails once it is longer than ``max_wire_bytes``.

    It skips every interim response. Python's own skips only a 100, and takes a 103 as final.
    """

    #: Bytes read for one response, with status line, headers, interim responses, chunk sizes and
    #: trailers. The libraries limit only some of these, and each alone.
    max_wire_bytes: int

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if isinstance(self.fp, io.BufferedReader):
            self.fp = io.BufferedReader(_Counted(self.fp.detach(), self.max_wire_bytes))

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MAX_INTERIM):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200 or status == http.client.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"more than {MAX_INTERIM} interim answers")


def bounded_response(max_wire_bytes: int) -> type[BoundedResponse]:
    """Return a class of responses of at most ``max_wire_bytes``."""
    return type("Response", (BoundedResponse,), {"max_wire_bytes": max_wire_bytes})


class _Counted(io.RawIOBase):
    def __init__(self, raw: io.RawIOBase, max_bytes: int) -> None:
        self._raw = raw
        self._max_bytes = self._left = max_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._left <= 0:
            raise TooLongError(f"an answer of more than {self._max_bytes:,} bytes")
        count: int | None = self._raw.readinto(buffer)
        self._left -= count or 0
        return count

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()
        super().close()


def decoded(body: bytes, encoding: str | None, max_bytes: int) -> bytes | None:
    """Return the decompressed body; None if it is longer than ``max_bytes``.

    Requests ask for no encoding, but a proxy may compress all the same. A body with another
    encoding, or with several, stays as it is.

    Raises:
        zlib.error: the body is not what the header says.
    """
    wbits = _ENCODINGS.get((encoding or "").strip().lower())
    if wbits is None or not body:
        return body
    content = zlib.decompressobj(wbits).decompress(body, max_bytes + 1)
    return content if len(content) <= max_bytes else None
