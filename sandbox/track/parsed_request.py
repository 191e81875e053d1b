"""A request as it came in, its path taken apart the way a server takes it apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import msgspec

from .refusal import Malformed

_decode = msgspec.json.Decoder().decode


class Request(msgspec.Struct):
    """Method, raw path and query, headers in lower case, body."""

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[bytes, bytes]
    body: bytes
    #: The path's segments, decoded.
    segments: tuple[str, ...] = ()

    def query(self, name: str, default: str) -> str:
        """The last value of a query parameter."""
        values = parse_qs(self.raw_query, keep_blank_values=True).get(name)
        return values[-1] if values else default

    def json(self) -> Any:
        """The decoded body; `Malformed` if it is not JSON or not sent as such."""
        self.require_json_type()
        try:
            return _decode(self.body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise Malformed("", f"the body is not valid JSON: {error}") from None

    def require_json_type(self) -> None:
        """Every request body of the description is JSON; the unsubscribe page insists on the header."""
        kind = self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise Malformed("", "the Content-Type header must be application/json")


def segments(raw_path: str) -> tuple[str, ...]:
    """Take a path apart and decode each segment by itself.

    An identifier must arrive percent-encoded. What is left bare is somebody else here, as in life: a `+` is a space,
    and `.` and `..` climb, encoded or not.
    """
    decoded: list[str] = []
    for segment in raw_path.split("/")[1:]:
        plain = unquote_plus(segment) if "%" in segment or "+" in segment else segment
        if plain == "..":
            del decoded[-1:]
        elif plain != ".":
            decoded.append(plain)
    return tuple(decoded)
