"""Decide whether a dead letter can be replayed, and make its job. Pure."""

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
class ReplayPolicy:
    """How dead letters are replayed."""

    repair: Patch = field(default_factory=Patch)
    #: Replay a letter although a later job of its key was delivered, unless that was a deletion or
    #: a suppression.
    even_if_newer: bool = False
    #: Letters in other states are refused.
    states: frozenset[State] = frozenset({"open"})


@dataclass(frozen=True, slots=True)
class RefusedReplay:
    """A letter that is not replayed, and why."""

    id: str
    operation: str | None
    kind: Kind
    why: str
    #: The later job that prevents it.
    later: Later | None = None


#: Options of the command line in refusals, and what pages call them.
_ON_PAGES = {
    "--even-if-newer replays it all the same": "“Even if something newer was delivered” "
    "replays it anyway",
    "supply its document with --edit": "repair it: write its document",
    "--state discarded replays it": "it can be replayed anyway",
}


def without_options(why: str) -> str:
    """Return a refusal as the admin and the console say it: without options of commands."""
    for option, words in _ON_PAGES.items():
        why = why.replace(option, words)
    return why


class ReplayRefusedError(Exception):
    """A letter is not replayed."""

    def __init__(self, kind: Kind, why: str, later: Later | None = None) -> None:
        super().__init__(why)
        self.kind = kind
        self.why = why
        self.later = later

    def of(self, letter: DeadLetter) -> RefusedReplay:
        """Return the refusal of ``letter``."""
        return RefusedReplay(letter.id, letter.operation, self.kind, self.why, self.later)


def prepare(
    letter: DeadLetter, policy: ReplayPolicy, queue_shards: int, hasher: KeyHasher, now: float
) -> tuple[Job, list[dict[str, Any]]]:
    """Return the job of a replay, and what the repair changed in the letter's document.

    Args:
        now: the job's age counts from here.

    Raises:
        ReplayRefusedError: the letter's state does not allow it, it has no document, or its
            document is not valid.
    """
    _check_state(letter, policy)
    before = letter.document
    operation, after = _repaired(letter, before, policy.repair)
    if letter.reason == "ignored" and letter.field:
        _check_complete(letter.field, after)
    keys = tuple(hasher.stored(key) for key in operation.keys)
    is_invalid = letter.reason == "invalid"
    # A refused call was never in the queue, so a repair with another key breaks no order.
    if before is not None and policy.repair and not is_invalid:
        _check_same_person(letter, before, operation, keys, hasher)
    body = letter.body or b""
    if policy.repair or is_invalid:
        body = _body(letter, operation)
    job = Job(
        id=letter.id,
        operation=operation.name,
        keys=keys,
        shards=tuple(shard_of(key, queue_shards) for key in operation.keys),
        body=body,
        lane="bulk",
        enqueued_at=letter.enqueued_at,
        age_from=now,
        source=letter.source,
        idempotency_key=letter.idempotency_key,
        trace=letter.trace,
        # A job that crashed its worker is sent alone.
        max_batch=1 if letter.reason == "crashed" else 1000,
        replayed=True,
        plan_note=letter.plan_note,
    )
    return job, list(changes(before or {}, after)) if policy.repair else []


def _check_state(letter: DeadLetter, policy: ReplayPolicy) -> None:
    if letter.state in policy.states:
        return
    since = _when(letter.updated_at)
    why = {
        "discarded": f"it was discarded {since}; --state discarded replays it",
        "delivered": f"it was replayed and delivered {since}",
    }.get(letter.state, f"it has been {letter.state} since {since}")
    raise ReplayRefusedError("state", why)


def _repaired(
    letter: DeadLetter, before: dict[str, Any] | None, repair: Patch
) -> tuple[Operation, dict[str, Any]]:
    if before is None and repair.document is None and letter.raw is None:
        raise ReplayRefusedError(
            "undecodable", "its content was erased, so there is nothing to send"
        )
    if before is None and repair.document is None:
        raise ReplayRefusedError(
            "undecodable",
            "it could not be decoded, so there is nothing to send; supply its document with --edit",
        )
    try:
        after = repair.apply(before)
        document = _without_foreign_id(letter, after)
        operation = check(
            document, id=letter.id, idempotency_key=letter.idempotency_key, planned=False
        )
        return operation, after
    except PatchError as error:
        raise ReplayRefusedError("repair", str(error)) from None
    except InvalidOperationError as error:
        raise ReplayRefusedError("invalid", str(error)) from None


def _check_complete(field: str, document: dict[str, Any]) -> None:
    # Customer.io reported the failure without this value, and no store of ours keeps values.
    value: Any = document
    for step in parse_path(field):
        value = value.get(step) if isinstance(value, dict) else None
    if value is None:
        raise ReplayRefusedError(
            "repair",
            f"Customer.io did not report its {field}, so it would be sent without; "
            f"add it with --set {field}=VALUE",
        )


def _without_foreign_id(letter: DeadLetter, document: dict[str, Any]) -> dict[str, Any]:
    # The id that the caller gave a refused event may belong to another job meanwhile.
    if letter.reason != "invalid":
        return document
    return {name: value for name, value in document.items() if name != "id"}


def same_call(letter: DeadLetter, policy: ReplayPolicy) -> str | None:
    """Return the id of the job that a refused call would have become.

    It follows from the idempotency key or the event's own id. :func:`prepare` has accepted the
    letter.

    Returns:
        None if the call has neither, or was not refused.
    """
    if letter.reason != "invalid" or (letter.body is None and policy.repair.document is None):
        return None
    before = None if letter.body is None else msgspec.json.decode(letter.body)
    document = policy.repair.apply(before)
    if letter.idempotency_key is None and "id" not in document:
        return None
    try:
        return check(document, idempotency_key=letter.idempotency_key, planned=False).id
    except InvalidOperationError:
        return None  # its own id is not valid


def _check_same_person(
    letter: DeadLetter, before: Any, operation: Operation, keys: Sequence[str], hasher: KeyHasher
) -> None:
    # A replay keeps the order of its keys, so a repair may drop a key and may not add one.
    if operation.name != letter.operation:
        raise ReplayRefusedError(
            "keys",
            f"the repair turns {letter.operation} into {operation.name}; "
            "enqueue that as a job of its own, and discard this one",
        )
    if not set(keys) <= {*letter.keys, *_keys_of(before, letter, hasher)}:
        raise ReplayRefusedError(
            "keys",
            f"the repair gives it to somebody else ({', '.join(keys)} instead of "
            f"{', '.join(letter.keys)}), and would break their order; "
            "enqueue that as a job of its own, and discard this one",
        )


def _keys_of(document: Any, letter: DeadLetter, hasher: KeyHasher) -> set[str]:
    # Hash them again: the secret may have changed since the letter was written.
    try:
        return {hasher.stored(key) for key in check(document, id=letter.id, planned=False).keys}
    except InvalidOperationError:
        return set()


def _body(letter: DeadLetter, operation: Operation) -> bytes:
    return (
        add_timestamp(operation.body, int(letter.enqueued_at))
        if operation.stamp
        else operation.body
    )


def asks_newer(job: Job, policy: ReplayPolicy) -> bool:
    """Return whether it matters for a replay that a later job was delivered.

    A deletion or suppression matters always. With ``even_if_newer``, the history names the job.
    """
    return policy.even_if_newer or not BY_NAME[job.operation].carries_time


def superseded_by(job: Job, by: Superseded, *, even_if_newer: bool) -> ReplayRefusedError | None:
    """Return why ``job`` must not be sent any more, or None if it may."""
    if by.delivered:
        return ReplayRefusedError(
            "delivered", "it was enqueued again with the same id, and delivered"
        )
    if by.waiting:
        return ReplayRefusedError("state", "it was enqueued again, and waits to be delivered")
    if by.removal:
        why = f"{_named(by.removal)}: it would bring the person back"
        return ReplayRefusedError("removed", why, by.removal)
    if by.job and not even_if_newer and not BY_NAME[job.operation].carries_time:
        why = f"{_named(by.job)}: it would overwrite newer data (--even-if-newer replays it anyway)"
        return ReplayRefusedError("newer", why, by.job)
    return None


def _named(later: Later) -> str:
    if later.delivered_at is None:
        enqueued = _when(later.enqueued_at)
        return f"a later {later.operation} ({later.id}, enqueued {enqueued}) waits to be delivered"
    return f"a later {later.operation} ({later.id}) was delivered {_when(later.delivered_at)}"


def _when(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def happened_at(job: Job) -> float | None:
    """Return the unix time of an event, a page or a screen; None for other operations."""
    if not BY_NAME[job.operation].is_event:
        return None
    timestamp = msgspec.json.decode(job.body, type=_Timed).timestamp
    return job.enqueued_at if timestamp is None else float(timestamp)


class _Timed(msgspec.Struct):
    timestamp: int | float | None = None
