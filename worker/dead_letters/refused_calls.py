"""Make dead letters of operations that were refused at the call, with ``on_invalid="dead_letter"``.

They come from a stream of their own, or from an outbox.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.exc import DBAPIError

from trackrelay.operations.ids import id_for
from trackrelay.operations.refused_operations import RefusedCall, RefusedJob, decode_refused
from trackrelay.queue.job import FORMAT_VERSION
from trackrelay.queue.redis_keys import INVALID, Lane
from trackrelay.worker.delivery.entry_decoder import check_storable
from trackrelay.worker.failpoints import failpoint
from trackrelay.worker.reasons import DeathReason
from trackrelay.worker.resources import Resources
from trackrelay.worker.storage import dead_letters
from trackrelay.worker.storage.blocklist import Blocklist
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.pg_values import sanitize_text
from trackrelay.worker.storage.stored_job import Job

log = structlog.get_logger("trackrelay.worker")

#: Entries that are read and settled together. Each may have a hundred kilobytes or more.
CHUNK = 50

_call = msgspec.json.Decoder(RefusedCall)
_UNREADABLE = (msgspec.MsgspecError, KeyError, TypeError, ValueError, OverflowError, RecursionError)
#: SQLSTATE classes of errors that come from the values: data exception, program limit exceeded.
_DATA_ERRORS = ("22", "54")


def keep_refused(resources: Resources) -> int:
    """Make dead letters of the entries in the stream, and return how many entries were deleted.

    Safe with any number of workers, and after a crash. An entry is deleted only after the commit.
    If it is read again, its dead letter exists already.
    """
    done = 0
    for entries in _chunks(resources):
        _insert(resources, [_letter(resources.hasher, id, fields) for id, fields in entries])
        failpoint("after_refused_commit")
        done += int(resources.redis.xdel(INVALID, *(id for id, _ in entries)))
    return done


def insert_unless_blocked(
    connection: sa.Connection, blocklist: Blocklist, letters: Sequence[NewDeadLetter]
) -> frozenset[str]:
    """Insert dead letters, except those of forgotten people. Return the ids of the new ones."""
    blocked = blocklist.locked(connection)
    kept = [each for each in letters if not blocklist.any_blocked(blocked, each.job.keys)]
    if len(kept) < len(letters):
        log.info("jobs_blocked", jobs=len(letters) - len(kept))
    return dead_letters.insert_new(connection, kept)


def letter_of(
    job: RefusedJob, data: bytes, at: float, lane: Lane, hasher: KeyHasher
) -> NewDeadLetter:
    """Return the dead letter of a refused operation.

    Args:
        data: the entry that holds it.
        at: unix seconds at which it was refused.

    Raises:
        msgspec.MsgspecError, ValueError: it cannot be decoded, or Postgres cannot store it.
    """
    check_storable(data, [job])
    call = _call.decode(job.body)
    keys = tuple(hasher.stored(sanitize_text(key) or "") for key in call.keys[:2])
    note = f"allowed: {call.limit or 'something else'}; it was {call.actual or 'not'}"
    return NewDeadLetter(
        job=Job(
            id=job.id,
            # A call without a known type and action is called ".".
            operation=job.operation.removesuffix("."),
            keys=keys or ("unknown",),
            shards=(0,),
            body=bytes(call.document),
            lane=lane,
            enqueued_at=at,
            age_from=at,
            source=job.source,
            idempotency_key=job.idempotency_key,
            trace=job.trace,
        ),
        reason=DeathReason.INVALID,
        error=call.error,
        field=call.field or None,
        history=({"at": at, "what": "invalid", "note": note},),
    )


def undecodable_letter(
    key: tuple[str, str], lane: Lane, at: float, raw: bytes, error: str
) -> NewDeadLetter:
    """Return the dead letter of an entry that cannot be decoded.

    Args:
        key: the source of the entry, and the entry's id there. They determine the letter's id.
        at: unix seconds at which the entry was written.
    """
    source, entry = key
    job = Job(
        id=id_for("undecodable", source, "", entry),
        operation="unknown",
        keys=("unknown",),
        shards=(0,),
        body=b"null",
        lane=lane,
        enqueued_at=at,
        age_from=at,
    )
    return NewDeadLetter(job=job, reason=DeathReason.UNDECODABLE, error=error, raw=raw)


def _chunks(resources: Resources) -> Iterator[list[tuple[bytes, dict[bytes, bytes]]]]:
    start = "-"
    while entries := cast(list[Any], resources.redis.xrange(INVALID, min=start, count=CHUNK)):
        start = f"({entries[-1][0].decode()}"
        # Leave the entries of a newer version to its workers.
        if known := [(id, fields) for id, fields in entries if not _is_newer(fields)]:
            yield known


def _is_newer(fields: dict[bytes, bytes]) -> bool:
    version = fields.get(b"v", b"")
    return version.isdigit() and len(version) < 10 and int(version) > FORMAT_VERSION


def _letter(hasher: KeyHasher, entry: bytes, fields: dict[bytes, bytes]) -> NewDeadLetter:
    at = int(entry.partition(b"-")[0]) / 1000
    try:
        data = fields[b"j"]
        (job,) = decode_refused(data)
        return letter_of(job, data, at, "live", hasher)
    except _UNREADABLE as error:
        return _undecodable(entry.decode(), fields, at, f"{type(error).__name__}: {error}")


def _undecodable(entry: str, fields: dict[bytes, bytes], at: float, error: str) -> NewDeadLetter:
    raw = msgspec.json.encode(
        {str(name, "latin-1"): str(value, "latin-1") for name, value in fields.items()}
    )
    return undecodable_letter(("invalid", entry), "live", at, raw, error)


def _insert(resources: Resources, letters: Sequence[NewDeadLetter]) -> None:
    try:
        with resources.engine.begin() as connection:
            new = insert_unless_blocked(connection, resources.blocklist, letters)
    except DBAPIError as error:
        if not _is_data_error(error):
            raise
        for letter in letters:
            _insert_alone(resources, letter)
        return
    for letter in letters:
        if letter.job.id in new:
            log.warning(
                "dead_letter",
                job=letter.job.id,
                reason=letter.reason,
                operation=letter.job.operation,
            )


def _insert_alone(resources: Resources, letter: NewDeadLetter) -> None:
    try:
        with resources.engine.begin() as connection:
            insert_unless_blocked(connection, resources.blocklist, [letter])
    except DBAPIError as error:
        if not _is_data_error(error):
            raise
        fields = {b"j": letter.raw or letter.job.body}
        why = f"Postgres cannot store it: {letter.error}"
        raw_letter = _undecodable(letter.job.id, fields, letter.job.enqueued_at, why)
        with resources.engine.begin() as connection:
            dead_letters.insert_new(connection, [raw_letter])


def _is_data_error(error: DBAPIError) -> bool:
    state: Any = getattr(error.orig, "sqlstate", None) or ""
    return str(state).startswith(_DATA_ERRORS)
