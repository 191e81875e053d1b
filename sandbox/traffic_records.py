"""What the sandbox remembers of its traffic: requests, accepted operations, and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from .parsed_operations import Operation
from .track.track_messages import Request
from .workspace.workspace_state import Outcome

#: The request headers that are kept. Credentials are not among them.
KEPT_HEADERS = (
    b"content-type",
    b"content-length",
    b"user-agent",
    b"accept-encoding",
    b"connection",
    b"expect",
)
EVENT_ACTIONS = frozenset({"event", "page", "screen"})

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Record(Protocol):
    """An entry of a log."""

    seq: int
    body: bytes | None


R = TypeVar("R", bound=Record)


class Log(Generic[R]):
    """Numbered records in order; the oldest lose their bodies first, then are dropped.

    Args:
        max_records: How many records are kept.
        max_bytes: How many bytes of bodies are kept.
    """

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self._max_records = max(1, max_records)
        self._max_bytes = max_bytes
        self.clear()

    def __len__(self) -> int:
        return len(self._records)

    def clear(self) -> None:
        """Drop everything and number from 1 again."""
        self._records: list[R] = []
        self.next_seq = 1
        #: The seq of the oldest record that is kept.
        self.first_seq = 1
        self._body_bytes = 0
        self._first_with_body = 0

    def append(self, record: R) -> None:
        """Add the record numbered ``next_seq``."""
        self._records.append(record)
        self.next_seq += 1
        if record.body is not None:
            self._body_bytes += len(record.body)
            if self._body_bytes > self._max_bytes:
                self._drop_bodies()
        # Dropping many at a time is cheaper than moving the list for each.
        if len(self._records) > self._max_records + self._max_records // 8 + 16:
            self._drop_records(len(self._records) - self._max_records)

    def after(self, seq: int) -> Iterator[R]:
        """Return the records numbered higher than ``seq``, oldest first."""
        start = max(0, seq + 1 - self.first_seq)
        return islice(self._records, start, None) if start == 0 else iter(self._records[start:])

    def newest(self, count: int) -> list[R]:
        """Return the last ``count`` records, newest first."""
        return self._records[: -count - 1 : -1]

    def _drop_bodies(self) -> None:
        while self._body_bytes > self._max_bytes and self._first_with_body < len(self._records):
            record = self._records[self._first_with_body]
            self._body_bytes -= len(record.body or b"")
            record.body = None
            self._first_with_body += 1

    def _drop_records(self, count: int) -> None:
        for record in self._records[:count]:
            self._body_bytes -= len(record.body or b"")
        del self._records[:count]
        self.first_seq += count
        self._first_with_body = max(0, self._first_with_body - count)


#: A name of its own, because a record has a field called `bytes`.
Body = bytes | None


class RequestRecord(msgspec.Struct, gc=False):
    """One request; ``status`` is None while, or if, there is no answer."""

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
    #: The kind and number of the fault that hit the request.
    fault: str | None = None
    body: Body = None

    def line(self) -> dict[str, Any]:
        """Return the JSON of the request without its body."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "body"}

    def view(self) -> dict[str, Any]:
        """Return the JSON of the request; a body that is not JSON is shown as text."""
        return self.line() | {"body": _readable(self.body)}


def _readable(body: bytes | None) -> Any:
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return body.decode("utf-8", "replace")


def _kept_headers(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    kept = {
        name.decode(): headers[name].decode("latin-1") for name in KEPT_HEADERS if name in headers
    }
    if authorization := headers.get(b"authorization"):
        # The scheme only, not the credentials.
        kept["authorization"] = authorization.partition(b" ")[0].decode("latin-1")
    return kept


class Requests:
    """The log of requests."""

    def __init__(self, max_records: int, max_bytes: int, keep_bodies: bool) -> None:
        self.log: Log[RequestRecord] = Log(max_records, max_bytes)
        self._keep_bodies = keep_bodies

    def begin(self, at: float, request: Request) -> RequestRecord:
        """Record a request that has arrived."""
        record = RequestRecord(
            self.log.next_seq,
            at,
            request.method,
            request.raw_path,
            request.raw_query,
            _kept_headers(request.headers),
            len(request.body),
            body=request.body if self._keep_bodies else None,
        )
        self.log.append(record)
        return record


class Effect(msgspec.Struct, gc=False):
    """One accepted operation; ``body`` is its JSON, decoded only when it is shown."""

    seq: int
    at: float
    type: str
    action: str
    name: str | None
    keys: tuple[str, ...]
    id: str | None
    path: str
    timestamp: int | None
    ignored: bool
    note: str | None
    body: bytes | None

    @property
    def is_event(self) -> bool:
        """Whether it is an event, page or screen of a known or anonymous person."""
        return self.type == "person" and self.action in EVENT_ACTIONS

    def view(self) -> dict[str, Any]:
        """Return the JSON of the effect, with the content of the operation."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__ if name != "body"}
        content = _decode(self.body) if self.body else {}
        shown["attributes"] = content.get("attributes")
        for name in ("device", "cio_relationships"):
            if name in content:
                shown[name] = content[name]
        return shown


class Effects:
    """The log of accepted operations and their outcomes."""

    def __init__(self, max_records: int, max_bytes: int, keep_bodies: bool) -> None:
        self.log: Log[Effect] = Log(max_records, max_bytes)
        self._keep_bodies = keep_bodies

    def add(
        self, op: Operation, outcome: Outcome, at: float, path: str, source: bytes | None
    ) -> Effect:
        """Record the outcome of an operation; ``source`` is its JSON if v2 sent it."""
        body = None
        if self._keep_bodies:
            body = source if source is not None else _encode({"attributes": op.attributes})
        effect = Effect(
            self.log.next_seq,
            at,
            op.type,
            op.action,
            op.name,
            op.keys,
            op.id,
            path,
            op.timestamp,
            outcome.ignored,
            outcome.note,
            body,
        )
        self.log.append(effect)
        return effect

    def after(self, seq: int, *, ignored: bool = False) -> Iterator[Effect]:
        """Return the effects numbered higher than ``seq``; with ``ignored``, all operations."""
        return (effect for effect in self.log.after(seq) if ignored or not effect.ignored)


class Counts:
    """Counts since the start or the last reset."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Set all counts to zero."""
        self.requests = 0
        self.operations = 0
        self.effects = 0
        self.events = 0
        self.duplicates_ignored = 0
        self.ignored = 0
        self.rejected = 0
        self.concurrent = 0
        self.max_concurrent = 0
        self.peak_per_second = 0
        self._second = 0
        self._in_second = 0
        self.by_path: Counter[str] = Counter()
        self.by_action: Counter[str] = Counter()
        self.by_status: Counter[str] = Counter()

    def arrived(self, at: float) -> None:
        """Count a request that begins."""
        self.requests += 1
        self.concurrent += 1
        self.max_concurrent = max(self.max_concurrent, self.concurrent)
        if int(at) != self._second:
            self._second, self._in_second = int(at), 0
        self._in_second += 1
        self.peak_per_second = max(self.peak_per_second, self._in_second)

    def applied(self, effect: Effect, duplicate: bool) -> None:
        """Count an accepted operation."""
        if effect.ignored:
            self.ignored += 1
            self.duplicates_ignored += duplicate
            return
        self.effects += 1
        self.events += effect.is_event
        self.by_action[f"{effect.type}.{effect.action}"] += 1

    def left(self, path: str, status: int | None) -> None:
        """Count a request that ends; ``status`` is None if it got no answer."""
        self.concurrent = max(0, self.concurrent - 1)
        self.by_path[path] += 1
        self.by_status["unanswered" if status is None else str(status)] += 1

    def view(self) -> dict[str, Any]:
        """Return the JSON of the counts."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}
