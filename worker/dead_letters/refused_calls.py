"""Operations that were refused at the call, with ``on_invalid="dead_letter"``: out of their stream, or an outbox, into the dead letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec
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
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.pg_values import sanitize_text
from trackrelay.worker.storage.stored_job import Job

log = structlog.get_logger("trackrelay.worker")

#: Entries read and settled at once: each may be a hundred kilobytes and more.
CHUNK = 50

_call = msgspec.json.Decoder(RefusedCall)
_UNREADABLE = (msgspec.MsgspecError, KeyError, TypeError, ValueError, OverflowError, RecursionError)
#: SQLSTATE classes of what lies in the values and not in the server: data exception, program limit exceeded.
_POISON = ("22", "54")


def keep_refused(resources: Resources) -> int:
    """Make dead letters of what waits in the stream; returns how many entries are done with.

    Safe with any number of workers at once, and after a crash anywhere: an entry is deleted only after the commit, and one that
    is read again finds its dead letter there.
    """
    done = 0
    for entries in _chunks(resources):
        deaths = [_death(resources.hasher, id, fields) for id, fields in entries]
        _insert(resources, deaths)
        failpoint("after_refused_commit")
        done += int(resources.redis.xdel(INVALID, *(id for id, _ in entries)))
    return done


def death_of(
    job: RefusedJob, data: bytes, at: float, lane: Lane, hasher: KeyHasher
) -> NewDeadLetter:
    """Return the dead letter of the refused operation in an entry.

    Args:
        data: the entry.
        at: unix seconds at which it was refused.

    Raises:
        msgspec.MsgspecError, ValueError: it is none, or none that Postgres keeps.
    """
    check_storable(data, [job])
    call = _call.decode(job.body)
    keys = tuple(hasher.stored(sanitize_text(key) or "") for key in call.keys[:2])
    was = f"allowed: {call.limit or 'something else'}; it was {call.actual or 'not'}"
    return NewDeadLetter(
        job=Job(
            id=job.id,
            # Of a call whose type and action are not known, a dot is left.
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
        history=({"at": at, "what": "invalid", "note": was},),
    )


def _chunks(resources: Resources) -> Iterator[list[tuple[bytes, dict[bytes, bytes]]]]:
    start = "-"
    while found := cast(list[Any], resources.redis.xrange(INVALID, min=start, count=CHUNK)):
        start = f"({found[-1][0].decode()}"
        # A newer version's are for its workers.
        if ready := [(id, fields) for id, fields in found if not _is_newer(fields)]:
            yield ready


def _is_newer(fields: dict[bytes, bytes]) -> bool:
    version = fields.get(b"v", b"")
    return version.isdigit() and len(version) < 10 and int(version) > FORMAT_VERSION


def _death(hasher: KeyHasher, entry: bytes, fields: dict[bytes, bytes]) -> NewDeadLetter:
    at = int(entry.partition(b"-")[0]) / 1000
    try:
        data = fields[b"j"]
        (job,) = decode_refused(data)
        return death_of(job, data, at, "live", hasher)
    except _UNREADABLE as error:
        return _undecodable(entry.decode(), fields, at, f"{type(error).__name__}: {error}")


def _undecodable(entry: str, fields: dict[bytes, bytes], at: float, error: str) -> NewDeadLetter:
    raw = msgspec.json.encode(
        {str(name, "latin-1"): str(value, "latin-1") for name, value in fields.items()}
    )
    job = Job(
        id=id_for("undecodable", "invalid", "", entry),
        operation="unknown",
        keys=("unknown",),
        shards=(0,),
        body=b"null",
        lane="live",
        enqueued_at=at,
        age_from=at,
    )
    return NewDeadLetter(job=job, reason=DeathReason.UNDECODABLE, error=error, raw=raw)


def _insert(resources: Resources, deaths: Sequence[NewDeadLetter]) -> None:
    try:
        with resources.engine.begin() as connection:
            new = dead_letters.insert_new(connection, deaths)
    except DBAPIError as error:
        if not _is_poison(error):
            raise
        for death in deaths:
            _insert_alone(resources, death)
        return
    for death in deaths:
        if death.job.id in new:
            log.warning(
                "dead_letter", job=death.job.id, reason=death.reason, operation=death.job.operation
            )


def _insert_alone(resources: Resources, death: NewDeadLetter) -> None:
    try:
        with resources.engine.begin() as connection:
            dead_letters.insert_new(connection, [death])
    except DBAPIError as error:
        if not _is_poison(error):
            raise
        fields = {b"j": death.raw or death.job.body}
        left = _undecodable(
            death.job.id, fields, death.job.enqueued_at, f"Postgres does not keep it: {death.error}"
        )
        with resources.engine.begin() as connection:
            dead_letters.insert_new(connection, [left])


def _is_poison(error: DBAPIError) -> bool:
    state: Any = getattr(error.orig, "sqlstate", None) or ""
    return str(state).startswith(_POISON)
