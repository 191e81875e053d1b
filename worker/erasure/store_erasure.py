"""Erases a marked person in every store, in the direction in which jobs move."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import redis
import sqlalchemy as sa

from trackrelay.operations.operation import Operation
from trackrelay.worker.delivery.cycle_parts import Rules
from trackrelay.worker.delivery.drain_to_backlog import DrainParts
from trackrelay.worker.delivery.entry_decoder import Decoder
from trackrelay.worker.delivery.rate_limiter import GRACE_S
from trackrelay.worker.delivery.shard_queue import LEASE_MS
from trackrelay.worker.failpoints import failpoint
from trackrelay.worker.reasons import LedgerOutcome
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage import erasure, forgotten, identity_links, ledger, named_rows
from trackrelay.worker.storage.blocklist import Blocklist
from trackrelay.worker.storage.forgotten import Request

from .outbox_erasure import OutboxErasure
from .person_keys import PersonKeys
from .queue_erasure import QueueErasure, erase_breakers, erase_refused, wake
from .queue_search import search_refused, search_streams

#: Jobs that one transaction takes out of the backlog.
BACKLOG_CHUNK = 500
#: A holder lets go of its shard within its slice, the rest of its last cycle, and a request.
SLICE_AND_CYCLE_S = 30.0


@dataclass(frozen=True, slots=True)
class ForgetStores:
    """The stores that are searched and erased."""

    engine: sa.Engine
    client: redis.Redis
    settings: Settings
    #: Enqueues an operation.
    enqueue: Callable[[Operation], object]

    @property
    def outbox_url(self) -> str:
        """The URL of the outbox, or ``""``."""
        return self.settings.outbox_url.get_secret_value()

    @property
    def patience_s(self) -> float:
        """For how long a live holder can keep a shard."""
        timeout_s = self.settings.request_timeout.total_seconds()
        return timeout_s + 2 * GRACE_S + LEASE_MS / 1000 + SLICE_AND_CYCLE_S


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """What Postgres records of one request."""

    engine: sa.Engine
    request: str
    #: Its keys, as keyed hashes.
    keys: tuple[str, ...]

    def stored(self) -> Request:
        """Return what is recorded now."""
        with self.engine.connect() as connection:
            found = forgotten.requests_of(connection, self.keys)
        return next(each for each in found if each.id == self.request)

    def step(self, name: str, value: Any) -> None:
        """Record that a step was done, or what it found."""
        with self.engine.begin() as connection:
            forgotten.record_step(connection, self.request, name, value)

    def complete(self, receipt: Mapping[str, Any]) -> None:
        """Record the receipt: the request is complete."""
        with self.engine.begin() as connection:
            forgotten.complete(connection, self.request, receipt)


@dataclass(frozen=True, slots=True)
class StoreErasure:
    """Erases ``person``, whose keys are blocked.

    Args:
        record: counts what each store loses.
        say: called with what is being done now, for people.
    """

    stores: ForgetStores
    person: PersonKeys
    record: RequestRecord
    say: Callable[[str], None]

    def run(self, shards: int) -> None:
        """Erase every store. Does nothing where nothing is left.

        Args:
            shards: how many the queue has.

        Raises:
            QueueErasureError: something cannot be erased now.
            OutboxAwayError: the outbox cannot be changed.
        """
        decoder = Decoder(shards, self.person.hasher)
        steps: dict[str, Callable[[], None]] = {
            "outbox": lambda: self._erase_outbox(decoder),
            "refused_calls": self._erase_refused,
            "streams": lambda: self._erase_streams(decoder, shards),
            "backlog": self._erase_backlog,
            "dead_letters": self._erase_letters,
            "ledger": self._hide_ledger,
            "verification": self._erase_verification,
            "identities": self._erase_identities,
            "breakers": lambda: erase_breakers(self.stores.client, self.person),
            # The last step: by now, workers have written down what they counted.
            "names": self._delete_names,
        }
        for store, erase in steps.items():
            self.say(f"erasing: {store.replace('_', ' ')}")
            erase()
            self.record.step(store, time.time())
            failpoint(f"forget_{store}")

    def _erase_outbox(self, decoder: Decoder) -> None:
        if not self.stores.outbox_url:
            return
        with closing(OutboxErasure(self.stores.outbox_url)) as outbox:
            rows = outbox.find(self.person)
            decoded = decoder.decode(0, "live", [row.entry for row in rows if row.has_jobs])
            hide = self.person.forms.hide
            jobs = [job.with_(keys=hide(job.keys), body=b"") for job in decoded.jobs]
            with self.stores.engine.begin() as connection:
                ledger.record_dropped(connection, jobs, LedgerOutcome.ERASED)
            failpoint("forget_outbox_recorded")
            outbox.delete(rows)

    def _erase_refused(self) -> None:
        erase_refused(self.stores.client, search_refused(self.stores.client, self.person))

    def _erase_streams(self, decoder: Decoder, shards: int) -> None:
        parts = DrainParts(
            client=self.stores.client,
            engine=self.stores.engine,
            decoder=decoder,
            rules=self._rules,
            blocklist=Blocklist(self.person.hasher),
        )
        QueueErasure(
            parts=parts,
            person=self.person,
            patience_s=self.stores.patience_s,
        ).run(search_streams(self.stores.client, shards, self.person))

    def _erase_backlog(self) -> None:
        forms = self.person.forms
        with self.stores.engine.connect() as connection:
            ids = erasure.waiting_jobs(connection, forms, sorted(self.person.exempt))
        for first in range(0, len(ids), BACKLOG_CHUNK):
            chunk = ids[first : first + BACKLOG_CHUNK]
            with self.stores.engine.begin() as connection:
                due = erasure.erase_waiting(connection, chunk, forms, self._rules.merge_delay_s)
            failpoint("forget_backlog_chunk")
            wake(self.stores.client, due)

    def _erase_letters(self) -> None:
        person = self.person
        with self.stores.engine.begin() as connection:
            erasure.erase_letters(
                connection, person.forms, person.stored_tokens, sorted(person.exempt)
            )

    def _hide_ledger(self) -> None:
        hidden = True
        while hidden:
            with self.stores.engine.begin() as connection:
                hidden = erasure.hide_ledger(connection, self.person.forms) > 0

    def _erase_verification(self) -> None:
        with self.stores.engine.begin() as connection:
            erasure.erase_verification(connection, self.person.forms)

    def _erase_identities(self) -> None:
        with self.stores.engine.begin() as connection:
            identity_links.erase(connection, list(self.person.hidden.values()))

    def _delete_names(self) -> None:
        with self.stores.engine.begin() as connection:
            named_rows.delete_named(connection, self.person.values)

    @property
    def _rules(self) -> Rules:
        settings = self.stores.settings
        return Rules(
            max_age_s=settings.max_age.total_seconds(),
            max_attempts=settings.max_attempts,
            merge_delay_s=settings.merge_delay.total_seconds(),
        )
