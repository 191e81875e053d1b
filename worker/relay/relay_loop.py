"""The loop of a relay: take the outbox's lease, relay, delete what has arrived, wait."""

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
from trackrelay.worker.queue.queue_agreement import agree, replace_generation
from trackrelay.worker.queue.queue_config import QueueConfigError
from trackrelay.worker.resources import key_hash_secret
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.tasks import describe

from .outbox_rows import OutboxRows
from .relay import Agreement, NewerRowError, PassResult, QueueMissingError, Relay
from .relay_queue import LeaseState, RelayQueue

log = structlog.get_logger("trackrelay.relay")

#: How long an idle relay waits between two passes, so that a commit waits no longer than this.
POLL_S = 0.25
#: How often a relay asks for the lease while another relay has it.
STANDBY_S = 1.0
#: How long it waits after an error.
RETRY_S = 1.0

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
class RelayTotals:
    """What a relay has done since it started."""

    relayed: int = 0
    confirmed: int = 0
    #: By step: the error of its last attempt.
    errors: dict[str, str] = field(default_factory=dict)


class RelayLoop:
    """Runs one relay.

    Args:
        outbox: its name. Of the loops for one outbox, one works at a time.
        stop: when it is set, the loop ends after its present pass and releases the lease.
    """

    def __init__(self, relay: Relay, queue: RelayQueue, outbox: str, stop: threading.Event) -> None:
        self._relay = relay
        self._queue = queue
        self._outbox = outbox
        self._stop = stop
        self.totals = RelayTotals()

    def run(self) -> None:
        """Relay until told to stop."""
        try:
            while not self._stop.is_set():
                if not self.take_lease():
                    self._stop.wait(STANDBY_S)
                    continue
                self._stop.wait(self.run_pass())
        finally:
            self.release_lease()

    def stop(self) -> None:
        """End :meth:`run` after its present pass."""
        self._stop.set()

    def take_lease(self) -> bool:
        """Take or renew the lease, and return whether this relay has it."""
        return self._attempt("lease", self._take_lease) is not None

    def release_lease(self) -> None:
        """Let another relay take the outbox at once."""
        self._attempt("lease", self._release_lease)

    def run_pass(self) -> float:
        """Relay and confirm once, and return the seconds to wait before the next pass."""
        relayed = self._attempt("relay", self._relay.relay)
        confirmed = self._attempt("confirm", self._relay.confirm)
        self.totals.relayed += relayed.rows if relayed else 0
        self.totals.confirmed += confirmed.rows if confirmed else 0
        if relayed is None or confirmed is None:
            return RETRY_S
        return 0.0 if relayed.has_more or confirmed.has_more else POLL_S

    def _take_lease(self) -> PassResult | None:
        state = self._queue.take_lease(self._outbox)
        if state is LeaseState.TAKEN:
            self._relay.forget_appends()
        return None if state is LeaseState.OTHERS else PassResult()

    def _release_lease(self) -> PassResult:
        self._queue.release_lease(self._outbox)
        return PassResult()

    def _attempt(self, step: str, act: Callable[[], PassResult | None]) -> PassResult | None:
        # No error ends a relay, because the rows are still there. Each error is logged once.
        try:
            result = act()
        except _EXPECTED as error:
            self._log_once(step, describe(error))
            return None
        except Exception as error:
            self._log_once(step, describe(error), exc_info=True)
            return None
        if self.totals.errors.pop(step, None):
            log.info("relay_resumed", outbox=self._outbox)
        return result

    def _log_once(self, step: str, error: str, **more: object) -> None:
        # Compare only the kind of error: a full queue names other numbers every second.
        if self.totals.errors.get(step, "").partition(":")[0] != error.partition(":")[0]:
            log.error("relay_interrupted", outbox=self._outbox, error=error, **more)
        self.totals.errors[step] = error


def make_loop(
    rows: OutboxRows,
    configured: Settings,
    client: redis.Redis,
    stores: sa.Engine,
    stop: threading.Event,
) -> RelayLoop:
    """Return a relay for the outbox ``rows``."""
    queue = RelayQueue(client, max_length=configured.max_queue_length)
    agreement = Agreement(
        config=lambda: agree(client, stores, configured.request_timeout.total_seconds()),
        replace_generation=lambda lost: replace_generation(client, stores, lost),
    )
    relay = Relay(
        rows, queue, stores, agreement, lambda: KeyHasher(key_hash_secret(configured, stores))
    )
    return RelayLoop(relay, queue, rows.name, stop)
