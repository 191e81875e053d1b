"""Whether a dead letter can become a job again, and which one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.keys import shard_of
from trackrelay.operations.operation import Operation
from trackrelay.operations.registry import BY_NAME
from trackrelay.operations.validation import check
from trackrelay.worker.delivery.entry_decoder import add_timestamp
from trackrelay.worker.storage.dead_letter_queries import DeadLetter, State
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.replay import Later, Superseded
from trackrelay.worker.storage.stored_job import Job

from .patch import Patch, PatchError, changes, parse_path

Kind = Literal[
    "missing", "state", "undecodable", "repair", "invalid", "keys", "delivered", "removed", "newer"
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How letters are to be replayed."""

    repair: Patch = field(default_factory=Patch)
    #: Replay even what a later job of the same key has overtaken. Never what a delete or a suppression has.
    even_if_newer: bool = False
    #: Letters in another state are refused.
    states: frozenset[State] = frozenset({"open"})


@dataclass(frozen=True, slots=True)
class Refused:
    """A letter that is not replayed, and why."""

    id: str
    operation: str | None
    kind: Kind
    why: str
    #: The job that stands in the way.
    later: Later | None = None


class ReplayRefusedError(Exception):
    """Why a letter is not replayed."""

    def __init__(self, kind: Kind, why: str, later: Later | None = None) -> None:
        super().__init__(why)
        self.kind = kind
        self.why = why
        self.later = later

    def refused(self, letter: DeadLetter) -> Refused:
        """The same, said of ``letter``."""
        return Refused(letter.id, letter.operation, self.kind, self.why, self.later)


def prepare(
    letter: DeadLetter, wanted: Wanted, queue_shards: int, hasher: KeyHasher, now: float
) -> tuple[Job, list[dict[str, Any]]]:
    """The job that ``letter`` becomes, its age beginning ``now``, and what the repair changed in its document.

    Raises:
        ReplayRefusedError: it is in no state for it, has no document, or would not pass the checks.
    """
    _check_state(letter, wanted)
    before = letter.document
    operation, after = _repaired(letter, before, wanted.repair)
    if letter.reason == "ignored" and letter.field:
        _check_complete(letter.field, after)
    keys = tuple(hasher.stored(key) for key in operation.keys)
    # A refused operation was never in the queue: it has no place in anybody's order that another key could break.
    if before is not None and wanted.repair and letter.reason != "invalid":
        _check_same(letter, before, operation, keys, hasher)
    job = Job(
        id=letter.id,
        operation=operation.name,
        keys=keys,
        shards=tuple(shard_of(key, queue_shards) for key in operation.keys),
        body=_body(letter, operation)
        if wanted.repair or letter.reason == "invalid"
        else letter.body or b"",
        lane="bulk",
        enqueued_at=letter.enqueued_at,
        age_from=now,
        source=letter.source,
        idempotency_key=letter.idempotency_key,
        trace=letter.trace,
        # What may kill its worker goes alone.
        max_batch=1 if letter.reason == "crashed" else 1000,
        replayed=True,
    )
    return job, list(changes(before or {}, after)) if wanted.repair else []


def _check_state(letter: DeadLetter, wanted: Wanted) -> None:
    if letter.state in wanted.states:
        return
    match letter.state:
        case "discarded":
            raise ReplayRefusedError(
                "state",
                f"it was discarded {_when(letter.updated_at)}; --state discarded replays it",
            )
        case "delivered":
            raise ReplayRefusedError(
                "state", f"it was replayed and delivered {_when(letter.updated_at)}"
            )
        case _:
            raise ReplayRefusedError(
                "state", f"it is {letter.state} since {_when(letter.updated_at)}"
            )


def _repaired(
    letter: DeadLetter, before: dict[str, Any] | None, repair: Patch
) -> tuple[Operation, dict[str, Any]]:
    if before is None and repair.document is None:
        raise ReplayRefusedError(
            "undecodable",
            "it could not be decoded, so there is nothing to send; supply its document with --edit",
        )
    try:
        after = repair.apply(before)
        return check(
            _own(letter, after), id=letter.id, idempotency_key=letter.idempotency_key
        ), after
    except PatchError as error:
        raise ReplayRefusedError("repair", str(error)) from None
    except InvalidOperationError as error:
        raise ReplayRefusedError("invalid", str(error)) from None


def _check_complete(field: str, document: dict[str, Any]) -> None:
    # Customer.io reported the failure without this value, and no store of ours keeps values.
    found: Any = document
    for step in parse_path(field):
        found = found.get(step) if isinstance(found, dict) else None
    if found is None:
        raise ReplayRefusedError(
            "repair",
            f"Customer.io did not report its {field}, so it would be sent without; "
            f"add it with --set {field}=VALUE",
        )


def _own(letter: DeadLetter, document: dict[str, Any]) -> dict[str, Any]:
    # The id that the caller gave a refused event may be another job's by now.
    return {
        name: value
        for name, value in document.items()
        if name != "id" or letter.reason != "invalid"
    }


def same_call(letter: DeadLetter, wanted: Wanted) -> str | None:
    """Return the id of the job that a refused call would have been, by its idempotency key or its own id; None: it has neither.

    ``letter`` can be replayed as ``wanted``.
    """
    if letter.reason != "invalid" or (letter.body is None and wanted.repair.document is None):
        return None
    document = wanted.repair.apply(
        None if letter.body is None else msgspec.json.decode(letter.body)
    )
    if letter.idempotency_key is None and "id" not in document:
        return None
    try:
        return check(document, idempotency_key=letter.idempotency_key).id
    except InvalidOperationError:
        return None  # its own id is none


def _check_same(
    letter: DeadLetter, before: Any, operation: Operation, keys: Sequence[str], hasher: KeyHasher
) -> None:
    # Order belongs to the key. Leaving one out harms nobody's; another person's operation is another job.
    if operation.name != letter.operation:
        raise ReplayRefusedError(
            "keys",
            f"the repair makes it {operation.name}; enqueue that as a job of its own, and discard this",
        )
    if not set(keys) <= {*letter.keys, *_keys_of(before, letter, hasher)}:
        raise ReplayRefusedError(
            "keys",
            f"the repair makes it an operation of somebody else ({', '.join(keys)} in place of {', '.join(letter.keys)}), whose "
            "order it would break; enqueue that as a job of its own, and discard this",
        )


def _keys_of(document: Any, letter: DeadLetter, hasher: KeyHasher) -> set[str]:
    # As they are hashed today: the secret may have been another one when the letter was written.
    try:
        return {hasher.stored(key) for key in check(document, id=letter.id).keys}
    except InvalidOperationError:
        return set()


def _body(letter: DeadLetter, operation: Operation) -> bytes:
    return (
        add_timestamp(operation.body, int(letter.enqueued_at))
        if operation.stamp
        else operation.body
    )


def superseded_by(job: Job, by: Superseded, *, even_if_newer: bool) -> ReplayRefusedError | None:
    """Why ``job`` comes too late, if it does."""
    if by.delivered:
        return ReplayRefusedError(
            "delivered", "a job with this id was delivered meanwhile: it was enqueued again"
        )
    if by.waiting:
        return ReplayRefusedError("state", "its job was enqueued again, and waits to be delivered")
    if by.removal:
        why = f"{_named(by.removal)}: it would bring the person back"
        return ReplayRefusedError("removed", why, by.removal)
    if by.job and not even_if_newer and not BY_NAME[job.operation].carries_time:
        why = f"{_named(by.job)}: it would undo what is newer (--even-if-newer replays it all the same)"
        return ReplayRefusedError("newer", why, by.job)
    return None


def _named(later: Later) -> str:
    if later.delivered_at is None:
        return f"a later {later.operation} ({later.id}, enqueued {_when(later.enqueued_at)}) waits to be delivered"
    return f"a later {later.operation} ({later.id}) was delivered {_when(later.delivered_at)}"


def _when(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def happened_at(job: Job) -> float | None:
    """Unix seconds at which an event, a page or a screen happened; None for anything else."""
    if not BY_NAME[job.operation].is_event:
        return None
    timestamp = msgspec.json.decode(job.body, type=_Timed).timestamp
    return job.enqueued_at if timestamp is None else float(timestamp)


class _Timed(msgspec.Struct):
    timestamp: int | float | None = None
