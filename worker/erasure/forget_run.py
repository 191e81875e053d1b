"""Forget a person: block, erase, tell Customer.io, and give a receipt.

1. **Mark.** One commit blocks the person's keys and raises the version in every shard's row. From
   then on, workers drop jobs of the keys, and no settlement writes a payload of theirs.
2. **Erase** each store, in the direction in which jobs move: outbox, refused calls, streams,
   backlog, dead letters, ledger, verification, identities. The ids of jobs stay in the ledger,
   without names.
3. **Tell** Customer.io with jobs that are exempt from the block. Wait first until every holder that
   may still be sending what it read before the mark has released its shard.
4. **Receipt**, when nothing is left and Customer.io has what it was told.

Each step is recorded in its own transaction and can be done again: after a crash anywhere, the same
command completes the request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from trackrelay.operations.ids import new_id
from trackrelay.operations.operation import Operation
from trackrelay.queue.redis_keys import MOVING
from trackrelay.worker.failpoints import failpoint
from trackrelay.worker.queue.queue_agreement import difference
from trackrelay.worker.queue.queue_config import Moving, QueueConfig, check_queue
from trackrelay.worker.storage import forgotten, queue_record
from trackrelay.worker.storage.advisory_lock import ENDED_S, advisory_lock
from trackrelay.worker.storage.forgotten import Request

from . import census, customerio_removal
from .census import Census
from .customerio_removal import Mode, RemovalState
from .person_keys import PersonKeys
from .queue_erasure import QueueErasureError
from .receipt import receipt
from .store_erasure import ForgetStores, RequestRecord, StoreErasure

#: How long a change of the number of shards is waited for.
RESHARD_WAIT_S = 30.0
_POLL_S = 0.05
#: How often everything is erased at most, and the seconds between.
MAX_PASSES = 5
PASS_S = 0.5

OUTBOX_UNKNOWN = (
    "not looked at: TRACKRELAY_OUTBOX_URL is not set here. If an application has an outbox, run "
    "the same command again with its settings (manage.py trackrelay forget …)"
)


class ForgetError(Exception):
    """Why a person is not forgotten, or not yet. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted."""

    mode: Mode
    #: How long to wait for Customer.io; 0: not at all.
    wait_s: float


def preview(stores: ForgetStores, person: PersonKeys) -> Census:
    """Return what every store has of ``person``; changes nothing."""
    with stores.engine.connect() as connection:
        requests = forgotten.requests_of(connection, list(person.hidden.values()))
    jobs = frozenset(job for each in requests for job in each.jobs.values() if job)
    return take_census(stores, replace(person, exempt=jobs), with_links=True)


def take_census(
    stores: ForgetStores, person: PersonKeys, *, with_links: bool, until: str = "+"
) -> Census:
    """Count what every store has of ``person``.

    Args:
        stores: where to look.
        person: whose data.
        until: the id of the last entry in Redis that counts.
        with_links: also find other names, and mentions by others, which reads every document.
    """
    found = Census()
    with stores.engine.connect() as connection:
        census.count_tables(connection, person, found)
        if with_links:
            census.find_links_and_mentions(connection, person, found)
    if stores.outbox_url:
        census.count_outbox(stores.outbox_url, person, found)
    config = check_queue(stores.client, None)
    census.count_queue(stores.client, config.shards, person, found, until)
    return found


def allow_again(stores: ForgetStores, person: PersonKeys) -> list[Request]:
    """Lift the block. Return the requests that it came from.

    Raises:
        ForgetError: the keys are not blocked, or their request is not complete.
    """
    keys = list(person.hidden.values())
    with stores.engine.begin() as connection:
        requests = [each for each in forgotten.requests_of(connection, keys) if each.blocked]
        if not requests:
            raise ForgetError("no job of this person is blocked")
        if open_request := next((each for each in requests if each.receipt is None), None):
            raise ForgetError(
                f"the request {open_request.id} is not complete: run `trackrelay forget` again "
                "with the same names first"
            )
        forgotten.allow_again(connection, keys)
    return requests


class ForgetRun:
    """Carries out one request.

    Args:
        stores: what is searched and erased.
        person: whom to forget.
        order: what is wanted.
        say: called with what is being done now, for people.
    """

    def __init__(
        self,
        stores: ForgetStores,
        person: PersonKeys,
        order: Order,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._stores = stores
        self._person = person
        self._order = order
        self._say = say
        self._operations: dict[str, Operation] = {}
        self._mode: Mode = order.mode
        self._record = RequestRecord(stores.engine, "", tuple(person.hidden.values()))
        #: Whether the keys are blocked, so that the next run completes the request.
        self.is_marked = False

    def run(self) -> dict[str, Any]:
        """Forget the person, or complete an earlier request. Return the receipt.

        Raises:
            ForgetError, QueueErasureError: it is not done; the same command completes it.
        """
        with self._alone("forget", ENDED_S, "another `trackrelay forget` is running"):
            self._mark()
            failpoint("forget_marked")
            self._take_census()
            failpoint("forget_counted")
            reshard = "the number of shards is being changed"
            with self._alone("reshard", RESHARD_WAIT_S, reshard):
                config = self._agreed_queue()
                after = self._erase(config)
                self._tell(config)
            return self._finish(after)

    @contextmanager
    def _alone(self, what: Any, wait_s: float, otherwise: str) -> Iterator[None]:
        with advisory_lock(self._stores.engine, what, wait_s=wait_s) as mine:
            if not mine:
                raise ForgetError(otherwise)
            yield

    # -- 1: from now on nothing of the person is written or sent

    def _mark(self) -> None:
        hidden = self._person.hidden
        with self._stores.engine.begin() as connection:
            earlier = forgotten.requests_of(connection, list(hidden.values()))
            unfinished = [each for each in earlier if each.blocked and each.receipt is None]
            request, self._mode = self._resumed(unfinished)
            self._operations = customerio_removal.removals(
                self._person.known, self._mode, request, self._person.hasher
            )
            if self._mode != "erase" and not self._operations:
                raise ForgetError(
                    f"Customer.io cannot {self._mode} by these names: give the person's id, email "
                    "or cio_id with --also"
                )
            jobs = {hidden[key]: operation.id for key, operation in self._operations.items()}
            forgotten.mark(
                connection,
                request,
                self._mode,
                {key: jobs.get(key) for key in hidden.values()},
                unfinished[0].steps if unfinished else {},
            )
        self._record = replace(self._record, request=request)
        self._person = replace(self._person, exempt=frozenset(jobs.values()))
        self.is_marked = True

    def _resumed(self, unfinished: list[Request]) -> tuple[str, Mode]:
        if not unfinished:
            return new_id(), self._order.mode
        if len(unfinished) > 1:
            raise ForgetError(
                "these names belong to several requests that are not complete: complete each with "
                "its own names first"
            )
        (request,) = unfinished
        missing = request.jobs.keys() - set(self._person.hidden.values())
        if missing:
            raise ForgetError(
                f"the request {request.id} is not complete and names also "
                f"{', '.join(sorted(missing))}: name them again with --also"
            )
        mode: Any = request.mode
        if self._order.mode not in ("erase", mode):
            raise ForgetError(
                f"the request {request.id} with {_option(mode)} is not complete: run the command "
                f"with {_option(mode)} first"
            )
        return request.id, mode

    # -- what there was

    def _take_census(self) -> None:
        found = take_census(self._stores, self._person, with_links=True)
        # Ids of others do not belong into a receipt either.
        hide = self._person.hasher.hidden
        found.linked = {hide(key): jobs for key, jobs in found.linked.items()}
        earlier = self._record.stored().steps.get("before", {})
        self._record.step("before", found.filled_from(earlier).document())

    # -- 2: erase

    def _erase(self, config: QueueConfig) -> Census:
        erasure = StoreErasure(self._stores, self._person, self._record, self._say)
        # A relay or a holder may have had something in hand. What it puts down now is found by the
        # next pass. What is enqueued from now on is not counted: workers drop it.
        for _ in range(MAX_PASSES):
            seconds, microseconds = self._stores.client.time()
            until = f"{seconds * 1000 + microseconds // 1000}"
            erasure.run(config.shards)
            self._say("looking whether anything is left")
            after = take_census(self._stores, self._person, with_links=False, until=until)
            if not after.left:
                break
            time.sleep(PASS_S)
        return after

    def _agreed_queue(self) -> QueueConfig:
        config = check_queue(self._stores.client, None)
        moving: Any = self._stores.client.get(MOVING) or b""
        if moving == Moving.LAYOUT.encode():
            raise ForgetError(
                "a change of the number of shards was interrupted: run `trackrelay reshard "
                f"{config.shards}`"
            )
        with self._stores.engine.connect() as connection:
            record = queue_record.read(connection)
        if problem := difference(config, record, moving.decode()):
            raise ForgetError(problem)
        return config

    # -- 3: tell Customer.io

    def _tell(self, config: QueueConfig) -> None:
        if not self._operations:
            return
        with self._stores.engine.connect() as connection:
            states = customerio_removal.removal_states(connection, self._person.exempt)
        done = {each.id for each in states if each.state != "waiting" or each.why}
        todo = [each for each in self._operations.values() if each.id not in done]
        if todo:
            self._wait_for_holders(config.shards)
            failpoint("forget_holders_left")
            for operation in todo:
                # A job that is enqueued twice is delivered once.
                self._stores.enqueue(operation)
        failpoint("forget_enqueued")

    def _wait_for_holders(self, shards: int) -> None:
        self._say("waiting for requests that are on their way")
        leases = customerio_removal.held_leases(self._stores.client, range(shards))
        until = time.monotonic() + self._stores.patience_s
        while leases := customerio_removal.still_held(self._stores.client, leases):
            if time.monotonic() > until:
                raise QueueErasureError(f"a worker does not release shard {min(leases)}")
            time.sleep(_POLL_S)

    def _wait_for_customerio(self) -> list[RemovalState]:
        if not self._operations:
            return []
        self._say("waiting for Customer.io")
        until = time.monotonic() + self._order.wait_s
        while True:
            with self._stores.engine.connect() as connection:
                states = customerio_removal.removal_states(connection, self._person.exempt)
            if all(each.state != "waiting" for each in states) or time.monotonic() >= until:
                return states
            time.sleep(_POLL_S)

    # -- 4: the receipt

    def _finish(self, after: Census) -> dict[str, Any]:
        states = self._wait_for_customerio()
        failpoint("forget_told")
        stored = self._record.stored()
        document = receipt(
            stored, after, states, outbox="erased" if self._stores.outbox_url else OUTBOX_UNKNOWN
        )
        if document["complete"]:
            self._record.complete(document)
        failpoint("forget_completed")
        return document


def _option(mode: str) -> str:
    return "neither --suppress nor --delete" if mode == "erase" else f"--{mode}"
