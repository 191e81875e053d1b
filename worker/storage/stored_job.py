"""A job in a worker's hands: decoded from the stream or loaded from the backlog, its time fixed, its keys safe to write down."""

from __future__ import annotations

import msgspec

from trackrelay.operations import limits
from trackrelay.operations.registry import ACTIONS
from trackrelay.queue.redis_keys import Lane
from trackrelay.worker.endpoint_families import Family, family_of_operation

_BARRIERS = frozenset(action.name for action in ACTIONS if action.is_barrier)
_DELAYED = frozenset(action.name for action in ACTIONS if action.is_delayed)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job. All times are unix seconds."""

    id: str
    operation: str
    #: As stored and logged: keys made of emails, phones and anonymous ids are hashes.
    keys: tuple[str, ...]
    #: The shard of each key.
    shards: tuple[int, ...]
    #: The document that goes to Customer.io, its timestamp fixed.
    body: bytes
    lane: Lane
    enqueued_at: float
    #: Age counts from here: enqueueing, or the last replay.
    age_from: float
    source: str | None = None
    idempotency_key: str | None = None
    trace: str | None = None
    #: Which stream entry it came in, or None when it came from the backlog.
    entry: str | None = None
    #: Attempts that counted against it.
    attempts: int = 0
    #: Requests that carry it hold at most this many jobs (1,000 unless it is suspected of failing a batch).
    max_batch: int = 1000
    #: When it last failed together with others or alone; 0: never.
    failed_at: float = 0.0
    #: It was a dead letter.
    replayed: bool = False

    @property
    def family(self) -> Family:
        """Which endpoints deliver it: an event too large for v2 goes to v1."""
        family = family_of_operation(self.operation)
        return (
            Family.V1_EVENTS
            if family is Family.V2 and len(self.body) > limits.OPERATION_BYTES
            else family
        )

    @property
    def first_key(self) -> str:
        """The key whose shard sends the job."""
        return self.keys[0]

    @property
    def second_key(self) -> str | None:
        """The other key of a merge, or of an identify with an anonymous id."""
        return self.keys[1] if len(self.keys) > 1 else None

    @property
    def key_count(self) -> int:
        """How many keys it has."""
        return len(self.keys)

    @property
    def is_barrier(self) -> bool:
        """Whether it must be settled before anything else is sent for its keys."""
        return self.operation in _BARRIERS

    @property
    def is_delayed(self) -> bool:
        """Whether it waits TRACKRELAY_MERGE_DELAY, in the backlog, once it is first for its keys."""
        return self.operation in _DELAYED

    @property
    def from_backlog(self) -> bool:
        """Whether the backlog has a row for it already."""
        return self.entry is None

    @property
    def crosses_shards(self) -> bool:
        """Whether its keys are in several shards, so that two holders must agree when it is due."""
        return len(self.shards) > 1 and len(set(self.shards)) > 1

    def with_(self, **changes: object) -> Job:
        """A copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)
