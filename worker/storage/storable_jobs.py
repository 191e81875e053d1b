"""Check whether Postgres can store a job, and make a form of any job that it can store."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from trackrelay.operations import limits
from trackrelay.operations.ids import is_ulid
from trackrelay.operations.json_values import MAX_DEPTH, is_deeper
from trackrelay.queue.job import MAX_KEYS, MAX_NAME_LENGTH, MAX_TEXT_LENGTH

from .ledger_partitions import lacks_partition
from .pg_values import sanitize_text
from .stored_job import Job

#: A row of a B-tree index has at most 2,704 bytes. An index has a key and a job's id or position.
MAX_KEY_BYTES = 2_000
#: No request can carry more, because a batch has less than 500 kB.
MAX_BODY_BYTES = 500_000
#: Unix milliseconds of the year 3000. Python and Django cannot show all later times of Postgres.
MAX_MS = 32_503_680_000_000
#: The maximum of a smallint column.
MAX_SMALLINT = 32_767

#: SQLSTATE class: a limit was exceeded, such as the size of an index row.
_PROGRAM_LIMIT = "54"


def unstorable_reason(job: Job) -> str | None:
    """Return why Postgres cannot store ``job``, or None if it can."""
    if not is_ulid(job.id):
        return "its id is not a ULID"
    if not 1 <= len(job.keys) <= MAX_KEYS or len(job.shards) != len(job.keys):
        return f"it has {len(job.keys):,} keys; a job has 1 to {MAX_KEYS}"
    if not job.operation or not all(job.keys):
        return "its operation or a key is empty"
    for name, text, limit in _texts(job):
        if text and (why := _unstorable_text_reason(text, limit)):
            return f"its {name} {why}"
    if not (0 <= job.enqueued_at * 1000 <= MAX_MS and 0 <= job.age_from * 1000 <= MAX_MS):
        return "its time is not between the years 1970 and 3000"
    if not 0 <= job.attempts < MAX_SMALLINT:
        return f"it has {job.attempts:,} attempts; a job has 0 to {MAX_SMALLINT - 1:,}"
    return unstorable_body_reason(job.body)


def unstorable_body_reason(body: bytes) -> str | None:
    """Return why the JSON in ``body`` cannot be a job's document, or None if it can."""
    if body[:1] != b"{":
        return "its body is not a JSON object"
    if len(body) > MAX_BODY_BYTES:
        return f"its body is {len(body):,} bytes; at most {MAX_BODY_BYTES:,} fit in a request"
    if is_deeper(body, MAX_DEPTH):
        return f"its body is nested deeper than {MAX_DEPTH} levels"
    return None


def _texts(job: Job) -> list[tuple[str, str | None, int]]:
    return [
        *(("key", key, MAX_KEY_BYTES) for key in job.keys),
        ("operation", job.operation, 4 * MAX_NAME_LENGTH),
        ("source", job.source, 4 * MAX_TEXT_LENGTH),
        ("idempotency_key", job.idempotency_key, 4 * limits.IDEMPOTENCY_KEY_LENGTH),
        ("trace", job.trace, 4 * MAX_TEXT_LENGTH),
    ]


def _unstorable_text_reason(text: str, max_bytes: int) -> str | None:
    if "\0" in text:
        return "holds a NUL"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return f"is {size:,} bytes; the limit is {max_bytes:,}" if size > max_bytes else None


def is_data_error(error: BaseException) -> bool:
    """Return whether Postgres refused a value. Other errors are temporary."""
    if lacks_partition(error):
        return False
    if isinstance(error, DataError | IntegrityError | ValueError | OverflowError):
        return True
    if isinstance(error, DBAPIError):
        return str(getattr(error.orig, "sqlstate", None) or "").startswith(_PROGRAM_LIMIT)
    # SQLAlchemy or the driver raises these while it encodes a parameter.
    return isinstance(error, StatementError) and isinstance(error.orig, ValueError | OverflowError)


def stripped(job: Job, shard: int) -> Job:
    """Return ``job`` without any value that Postgres could refuse. Its id stays."""
    return job.with_(
        operation="unknown",
        keys=("unknown",),
        shards=(shard,),
        body=b"{}",
        enqueued_at=_clamped(job.enqueued_at),
        age_from=_clamped(job.age_from),
        source=None,
        idempotency_key=None,
        trace=None,
        attempts=min(max(job.attempts, 0), MAX_SMALLINT - 1),
    )


def as_bytes(job: Job) -> bytes:
    """Return all fields of ``job`` as JSON in ASCII, for a column of bytes."""
    fields: dict[str, Any] = msgspec.structs.asdict(job)
    fields["body"] = job.body.decode("latin-1")
    return json.dumps(fields, default=str).encode()


def brief(error: BaseException) -> str:
    """Return a database error in one line, without the statement and its parameters."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines() or [""]
    return sanitize_text(f"{type(cause).__name__}: {lines[0]}"[:300]) or ""


def _clamped(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_MS / 1000)
