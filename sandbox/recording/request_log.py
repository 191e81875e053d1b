"""Requests as they came in and how they were answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .record_log import Log

#: Shown as they came. Credentials are not among them.
SHOWN_HEADERS = (
    b"content-type",
    b"content-length",
    b"user-agent",
    b"accept-encoding",
    b"connection",
    b"expect",
)


#: Named, for a record has a field called `bytes`.
Body = bytes | None


class RequestRecord(msgspec.Struct, gc=False):
    """One request; `status` stays None if it was never answered."""

    seq: int
    at: float
    method: str
    path: str
    query: str
    headers: dict[str, str]
    bytes: int
    operations: int = 0
    status: int | None = None
    finished: float | None = None
    #: What a fault did to it.
    fault: str | None = None
    body: Body = None

    def line(self) -> dict[str, Any]:
        """As it is shown where its body would be too much."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "body"}

    def view(self) -> dict[str, Any]:
        """As it is shown: the body decoded if it is JSON, as text if not."""
        return self.line() | {"body": readable(self.body)}


def readable(body: bytes | None) -> Any:
    """A body for people to look at."""
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return body.decode("utf-8", "replace")


def shown_headers(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """The headers worth keeping; of the credentials only how they were sent."""
    shown = {
        name.decode(): headers[name].decode("latin-1") for name in SHOWN_HEADERS if name in headers
    }
    if authorization := headers.get(b"authorization"):
        shown["authorization"] = authorization.partition(b" ")[0].decode("latin-1")
    return shown


class Requests:
    """The log of requests."""

    def __init__(self, keep: int, keep_bytes: int, keep_bodies: bool) -> None:
        self.log: Log[RequestRecord] = Log(keep, keep_bytes)
        self._keep_bodies = keep_bodies

    def begin(
        self,
        at: float,
        method: str,
        path: str,
        query: str,
        headers: Mapping[bytes, bytes],
        body: bytes,
    ) -> RequestRecord:
        """Record a request that has arrived."""
        kept = body if self._keep_bodies else None
        record = RequestRecord(
            self.log.next_seq, at, method, path, query, shown_headers(headers), len(body), body=kept
        )
        self.log.append(record)
        return record
