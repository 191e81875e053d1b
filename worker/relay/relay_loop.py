"""The relay at work: look, relay, let go, wait; beside others of its kind, until it is told to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import redis
import sqlalchemy as sa
import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.errors import TrackRelayError
from trackrelay.worker.maintenance.queue_recovery import replace_generation
from trackrelay.worker.queue.queue_agreement import agree
from trackrelay.worker.queue.queue_config import QueueConfigError
from trackrelay.worker.resources import key_hash_secret
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.tasks import describe

from .outbox_rows import Rows
from .relay import Agreement, Look, NewerRowError, QueueMissingError, Relay
from .relay_queue import Hold, RelayQueue

log = structlog.get_logger("trackrelay.relay")

#: How long an idle relay waits before it looks again: what a commit waits at the most before it is relayed.
POLL_S = 0.25
#: How often a relay asks for the lease while another one has it.
STANDBY_S = 1.0
#: How long it waits after something went wrong.
TROUBLE_S = 1.0

_EXPECTED = (
    RedisError,
    SQLAlchemyError,
    OSError,
    TrackRelayError,
    NewerRowError,
    QueueMissingError,
    QueueConfigError,
)


@dataclass(slots=True)
class Done:
    """What a relay did since it began."""

    relayed: int = 0
    confirmed: int = 0
    #: What went wrong last, if it still does.
    trouble: dict[str, str] = field(default_factory=dict)


class Loop:
    """One relay's life.

    Args:
        outbox: its name; of several loops for one outbox one works at a time.
        stop: set it, and the loop ends after what it is doing, and gives up the lease.
    """

    def __init__(self, relay: Relay, queue: RelayQueue, outbox: str, stop: threading.Event) -> None:
        self._relay = relay
        self._queue = queue
        self._outbox = outbox
        self._stop = stop
        self.done = Done()

    def run(self) -> None:
        """Work until told to stop."""
        try:
            while not self._stop.is_set():
                if not self.take():
                    self._stop.wait(STANDBY_S)
                    continue
                self._stop.wait(self.look())
        finally:
            self.give_up()

    def stop(self) -> None:
        """End :meth:`run` after what it is doing."""
        self._stop.set()

    def take(self) -> bool:
        """Take or renew the lease; returns whether this relay has it."""
        return self._attempt("lease", self._hold) is not None

    def give_up(self) -> None:
        """Let another relay have the outbox at once."""
        self._attempt("lease", self._release)

    def look(self) -> float:
        """One look at the outbox; returns the seconds to wait before the next."""
        relayed = self._attempt("relay", self._relay.relay)
        confirmed = self._attempt("confirm", self._relay.confirm)
        self.done.relayed += relayed.rows if relayed else 0
        self.done.confirmed += confirmed.rows if confirmed else 0
        if relayed is None or confirmed is None:
            return TROUBLE_S
        return 0.0 if relayed.more or confirmed.more else POLL_S

    def _hold(self) -> Look | None:
        hold = self._queue.hold(self._outbox)
        if hold is Hold.TAKEN:
            self._relay.forget_appends()
        return None if hold is Hold.OTHERS else Look()

    def _release(self) -> Look:
        self._queue.release(self._outbox)
        return Look()

    def _attempt(self, what: str, act: Callable[[], Look | None]) -> Look | None:
        # No error ends a relay, because the rows are still there. Each error is logged once.
        try:
            result = act()
        except _EXPECTED as error:
            self._say(what, describe(error))
            return None
        except Exception as error:
            self._say(what, describe(error), exc_info=True)
            return None
        if self.done.trouble.pop(what, None):
            log.info("relay_resumed", outbox=self._outbox)
        return result

    def _say(self, what: str, error: str, **more: object) -> None:
        # Only the kind of trouble counts: a full queue names other numbers every second.
        if self.done.trouble.get(what, "").partition(":")[0] != error.partition(":")[0]:
            log.error("relay_interrupted", outbox=self._outbox, error=error, **more)
        self.done.trouble[what] = error


def make_loop(
    rows: Rows, configured: Settings, client: redis.Redis, stores: sa.Engine, stop: threading.Event
) -> Loop:
    """A relay for the outbox ``rows``."""
    queue = RelayQueue(client, max_length=configured.max_queue_length)
    agreement = Agreement(
        config=lambda: agree(client, stores, configured),
        replace_generation=lambda lost: replace_generation(client, stores, lost),
    )
    relay = Relay(
        rows, queue, stores, agreement, lambda: KeyHasher(key_hash_secret(configured, stores))
    )
    return Loop(relay, queue, rows.name, stop)
