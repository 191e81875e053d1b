"""Every name trackrelay uses in Redis, in one place: all of them begin with ours."""

from __future__ import annotations

from typing import Literal

Lane = Literal["live", "bulk"]
LANES: tuple[Lane, Lane] = ("live", "bulk")

PREFIX = "trackrelay:"
#: Hash, written once by ``trackrelay migrate``: shards, format, generation.
CONFIG = PREFIX + "config"
#: Stands for a moment after memory was found below its mark, so that not every enqueue asks (`…:bulk`: below that of bulk).
ROOM = PREFIX + "room"
#: Stands while the number of shards is being changed: ``drain``, ``closed`` (nothing may be appended) or ``layout``.
MOVING = PREFIX + "moving"
#: Counts the appends of relays: Redis has lost some if a relay remembers more.
RELAYED = PREFIX + "relayed"
#: Stream of operations that were refused at the call, until a worker has made dead letters of them.
INVALID = PREFIX + "invalid"
#: What Celery's own keys and channels begin with (its ``global_keyprefix``).
CELERY_PREFIX = PREFIX + "celery:"
#: The one Celery queue, without and with its prefix.
QUEUE = "deliver"
QUEUE_KEY = CELERY_PREFIX + QUEUE


def stream(shard: int, lane: Lane) -> str:
    """The stream of a shard's lane."""
    return f"{PREFIX}{shard}:{lane}"


def more(shard: int, lane: Lane) -> str:
    """Counts the jobs that a stream holds beyond its entries, some of which have several."""
    return f"{stream(shard, lane)}:more"


def handed_out(shard: int, lane: Lane) -> str:
    """Hash: how often jobs out of the backlog have been in a holder's hands without being settled."""
    return f"{PREFIX}{shard}:{lane}:handed"


def calls(kind: str, hour: int) -> str:
    """Hash: how many calls of a kind (``refused``, ``unavailable``) enqueued nothing in a unix hour, by source, operation and field."""
    return f"{PREFIX}calls:{kind}:{hour}"


def wakeup(shard: int) -> str:
    """Stands while somebody has been told that the shard has work."""
    return f"{PREFIX}{shard}:wakeup"


def lease(shard: int) -> str:
    """Holds the fence number of the one worker that delivers the shard."""
    return f"{PREFIX}{shard}:lease"


def relay_lease(outbox: str) -> str:
    """Holds the token of the one relay that works on an outbox."""
    return f"{PREFIX}relay:{outbox}"
