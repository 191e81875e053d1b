"""A job as workers process it: decoded from a stream entry, or loaded from the backlog.

Its time is fixed, and its keys are safe to store.
"""

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
    #: The document for Customer.io, with its timestamp.
    body: bytes
    lane: Lane
    enqueued_at: float
    #: Age counts from here: enqueueing, or the last replay.
    age_from: float
    source: str | None = None
    idempotency_key: str | None = None
    trace: str | None = None
    #: The stream entry that it came in. None if it came from the backlog.
    entry: str | None = None
    #: The failed attempts that count against it.
    attempts: int = 0
    #: The most jobs in a request with this job. Below 1,000, it may have made a batch fail.
    max_batch: int = 1000
    #: When it last failed. 0: never.
    failed_at: float = 0.0
    #: Whether it was a dead letter.
    replayed: bool = False
    #: What the tracking plan fixed in its body: names and types, never values.
    plan_note: str | None = None

    @property
    def family(self) -> Family:
        """The endpoints that deliver it. An event that is too large for v2 goes to v1."""
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
        """The number of its keys."""
        return len(self.keys)

    @property
    def is_barrier(self) -> bool:
        """Whether it must be settled before another job of its keys is sent."""
        return self.operation in _BARRIERS

    @property
    def is_delayed(self) -> bool:
        """Whether it waits TRACKRELAY_MERGE_DELAY once it is first for its keys in the backlog."""
        return self.operation in _DELAYED

    @property
    def from_backlog(self) -> bool:
        """Whether it was loaded from the backlog."""
        return self.entry is None

    @property
    def crosses_shards(self) -> bool:
        """Whether its keys are in two shards, so that it is due when it is first in both."""
        return len(self.shards) > 1 and len(set(self.shards)) > 1

    def with_(self, **changes: object) -> Job:
        """Return a copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)
