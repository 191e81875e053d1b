"""Tells Customer.io to delete or suppress a person, and finds out whether it did."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import redis
import sqlalchemy as sa

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.operation import Operation
from trackrelay.operations.person_builders import delete_person, suppress
from trackrelay.operations.refs import Person
from trackrelay.queue.redis_keys import lease
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.ledger import asked
from trackrelay.worker.storage.ledger_periods import IN_PERIODS

Mode = Literal["erase", "suppress", "delete"]
State = Literal["delivered", "waiting", "dead_letter"]

_BUILDERS: dict[str, Callable[..., Operation]] = {"delete": delete_person, "suppress": suppress}
#: What ``Person`` calls each kind of key.
_KINDS = {"id": "id", "email": "email", "phone": "phone", "cio_id": "cio_id"}

_STATES = sa.text(f"""
    SELECT asked.id,
        (SELECT extract(epoch FROM delivered_at) FROM trackrelay_ledger l
         WHERE l.id = asked.id AND {IN_PERIODS.format(of="l.")} AND l.outcome = 'delivered'
         LIMIT 1) AS delivered_at,
        (SELECT error FROM trackrelay_dead_letters d
         WHERE d.job_id = asked.id AND d.state IN ('open', 'discarded')) AS died_of,
        EXISTS (SELECT 1 FROM trackrelay_dead_letters d
         WHERE d.job_id = asked.id AND d.state IN ('open', 'discarded')) AS is_dead,
        (SELECT reason FROM trackrelay_backlog b WHERE b.job_id = asked.id LIMIT 1) AS reason
    FROM unnest(CAST(:ids AS text[])) AS asked (id) ORDER BY asked.id
""")


@dataclass(frozen=True, slots=True)
class RemovalState:
    """What became of a job that tells Customer.io."""

    id: str
    state: State
    #: Unix seconds.
    delivered_at: float | None = None
    #: Why it waits, or what it died of.
    why: str | None = None


def removals(
    keys: Iterable[str], mode: Mode, request: str, hasher: KeyHasher
) -> dict[str, Operation]:
    """Return the operation for each key that Customer.io takes for it.

    Args:
        keys: in the clear.
        mode: what to tell Customer.io.
        request: the request's id. The same request makes the same jobs.
        hasher: makes a name for each call that nobody can guess. The id of a job is derived from
            its key and this name, and would tell who it was.
    """
    if mode == "erase":
        return {}
    found: dict[str, Operation] = {}
    for key in keys:
        kind, _, value = key.partition(":")
        if kind not in _KINDS:
            continue  # Customer.io does not delete visitors that it does not know
        try:
            person = Person(**{_KINDS[kind]: value})
            name = f"forget-{hasher.digest(f'{request} {key}')}"
            found[key] = _BUILDERS[mode](person, idempotency_key=name)
        except InvalidOperationError:
            continue
    return found


def removal_states(connection: sa.Connection, ids: Iterable[str]) -> list[RemovalState]:
    """Return what became of these jobs."""
    return [
        RemovalState(row.id, "delivered", float(row.delivered_at))
        if row.delivered_at is not None
        else RemovalState(row.id, "dead_letter", why=row.died_of)
        if row.is_dead
        else RemovalState(row.id, "waiting", why=row.reason)
        for row in connection.execute(_STATES, asked(list(ids)))
    ]


def held_leases(client: redis.Redis, shards: Iterable[int]) -> dict[int, bytes]:
    """Return the lease tokens of the shards that are held now.

    What such a holder read before the person was marked may be on its way to Customer.io.
    """
    tokens: dict[int, Any] = {shard: client.get(lease(shard)) for shard in shards}
    return {shard: token for shard, token in tokens.items() if token is not None}


def still_held(client: redis.Redis, leases: dict[int, bytes]) -> dict[int, bytes]:
    """Return those of ``leases`` that have not ended."""
    return {shard: token for shard, token in leases.items() if client.get(lease(shard)) == token}
