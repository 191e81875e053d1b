"""A job: an operation plus what delivering it takes, and the form in which it lies in the stream."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .operation import Operation

#: The stream entry's format. A worker that meets a newer one leaves it alone.
FORMAT_VERSION = 1


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One job as it lies in the stream. Its body is not parsed again on the way to Customer.io."""

    id: str
    #: ``type.action`` of the operation, e.g. ``person.event``.
    operation: str
    keys: tuple[str, ...]
    body: msgspec.Raw
    stamp: bool = False
    #: Which application enqueued it.
    source: str | None = None
    idempotency_key: str | None = None
    #: W3C ``traceparent`` of the request that enqueued it.
    trace: str | None = None
    #: Kept for later: which workspace it is for.
    workspace: str | None = None
    #: Unix milliseconds at which an earlier store (an outbox) accepted it; 0: the stream is the first.
    accepted_ms: int = 0


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[Job, ...])


def encode_entry(
    operation: Operation, *, source: str | None = None, trace: str | None = None, accepted_ms: int = 0
) -> bytes:
    """The stream entry for ``operation``: a JSON list of jobs, its companion first."""
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
    """The jobs of one stream entry.

    Raises:
        msgspec.DecodeError: the bytes are not an entry of this format.
    """
    return _decoder.decode(data)


def encode_accepted(jobs: Sequence[Job], accepted_ms: int) -> bytes:
    """The stream entry of ``jobs`` that an earlier store accepted at ``accepted_ms`` (unix milliseconds)."""
    return _encoder.encode([msgspec.structs.replace(job, accepted_ms=accepted_ms) for job in jobs])
