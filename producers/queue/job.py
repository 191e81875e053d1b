"""A job: an operation with what its delivery needs, and its form in the stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from trackrelay.operations import limits
from trackrelay.operations.operation import Operation

#: The format of stream entries. A worker does not touch entries of a newer one.
FORMAT_VERSION = 1
#: A merge, and an identify with an anonymous id, have two keys.
MAX_KEYS = 2
#: Most characters of an operation's name.
MAX_NAME_LENGTH = 100
#: Most characters of a source or a trace, and of a key.
MAX_TEXT_LENGTH = 10_000
MAX_KEY_LENGTH = 2_000

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
_Key = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KEY_LENGTH)]
_Text = Annotated[str, msgspec.Meta(max_length=MAX_TEXT_LENGTH)]
_IdempotencyKey = Annotated[str, msgspec.Meta(max_length=limits.IDEMPOTENCY_KEY_LENGTH)]


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job in the stream. Its body is sent to Customer.io without being parsed again."""

    id: str
    #: ``type.action`` of the operation, e.g. ``person.event``.
    operation: _Name
    keys: Annotated[tuple[_Key, ...], msgspec.Meta(min_length=1, max_length=MAX_KEYS)]
    body: msgspec.Raw
    stamp: bool = False
    #: The application that enqueued it.
    source: _Text | None = None
    idempotency_key: _IdempotencyKey | None = None
    #: W3C ``traceparent`` of the request that enqueued it.
    trace: _Text | None = None
    #: Reserved: the workspace that it is for.
    workspace: str | None = None
    #: Unix milliseconds at which an outbox accepted it; 0 if the stream is its first store.
    accepted_ms: int = 0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[Job, ...])


def encode_entry(
    operation: Operation,
    *,
    source: str | None = None,
    trace: str | None = None,
    accepted_ms: int = 0,
) -> bytes:
    """Return the stream entry for ``operation``: a JSON list of jobs, its companion first."""
    companion = operation.companion
    operations: Sequence[Operation] = (operation,) if companion is None else (companion, operation)
    return _encoder.encode(
        [
            Job(
                id=each.id,
                operation=f"{each.type}.{each.action}",
                keys=each.keys,
                body=msgspec.Raw(each.body),
                stamp=each.stamp,
                source=source,
                idempotency_key=each.idempotency_key,
                trace=trace,
                accepted_ms=accepted_ms,
            )
            for each in operations
        ]
    )


def decode_entry(data: bytes) -> tuple[Job, ...]:
    """Return the jobs of a stream entry.

    Raises:
        msgspec.DecodeError: the bytes are not an entry of this format.
        UnicodeDecodeError: some of its text is not UTF-8.
    """
    try:
        return _decoder.decode(data)
    except RecursionError:
        raise msgspec.DecodeError("lists and objects are nested too deep") from None


def encode_accepted(jobs: Sequence[Job], accepted_ms: int) -> bytes:
    """Return the stream entry of ``jobs`` that an outbox accepted at ``accepted_ms``."""
    return _encoder.encode([msgspec.structs.replace(job, accepted_ms=accepted_ms) for job in jobs])
