"""Every key that trackrelay uses in Redis. All of them begin with one prefix."""

from __future__ import annotations

from typing import Literal

Lane = Literal["live", "bulk"]
LANES: tuple[Lane, Lane] = ("live", "bulk")

PREFIX = "trackrelay:"
#: Hash, written once by ``trackrelay migrate``: shards, format, generation.
CONFIG = PREFIX + "config"
#: Exists for a moment after memory was found below its mark, so that not every call checks. Bulk
#: entries have their own.
ROOM = PREFIX + "room"
#: Exists while the number of shards is being changed: ``drain``, ``closed`` (nothing may be
#: appended) or ``layout``.
MOVING = PREFIX + "moving"
#: Number of appends by relays. If a relay remembers more, Redis lost some.
RELAYED = PREFIX + "relayed"
#: Stream of operations that were refused at the call. A worker makes dead letters of them.
INVALID = PREFIX + "invalid"
#: List of jobs that producers knew to be in the queue when they found its server replaced. A worker
#: looks for them in the stores.
ACKNOWLEDGED = PREFIX + "acknowledged"
#: Prefix of Celery's keys and channels (its ``global_keyprefix``).
CELERY_PREFIX = PREFIX + "celery:"
#: The one Celery queue, without and with its prefix.
QUEUE = "deliver"
QUEUE_KEY = CELERY_PREFIX + QUEUE


def stream(shard: int, lane: Lane) -> str:
    """Return the stream of a shard's lane."""
    return f"{PREFIX}{shard}:{lane}"


def more(shard: int, lane: Lane) -> str:
    """Return the counter of jobs beyond one for each entry: some entries hold several."""
    return f"{stream(shard, lane)}:more"


def handed_out(shard: int, lane: Lane) -> str:
    """Return the hash that counts how often each backlog job was claimed without being settled."""
    return f"{PREFIX}{shard}:{lane}:handed"


def calls(kind: str, hour: int) -> str:
    """Return the hash that counts the calls of a unix hour that enqueued nothing.

    Args:
        kind: ``refused`` or ``unavailable``.
    """
    return f"{PREFIX}calls:{kind}:{hour}"


def all_calls(kind: str) -> str:
    """Return the counter of all calls that enqueued nothing.

    Args:
        kind: ``refused`` or ``unavailable``.
    """
    return f"{PREFIX}calls:{kind}"


def wakeup(shard: int) -> str:
    """Return the key that exists while a worker has been told that the shard has work."""
    return f"{PREFIX}{shard}:wakeup"


def lease(shard: int) -> str:
    """Return the key that holds the token of the one worker that delivers the shard."""
    return f"{PREFIX}{shard}:lease"


def relay_lease(outbox: str) -> str:
    """Return the key that holds the token of the one relay that works on an outbox."""
    return f"{PREFIX}relay:{outbox}"
