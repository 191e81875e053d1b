"""Look at the installation every few seconds, and tell what begins and what ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Protocol

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.worker.cli.status.fail_conditions import MEASURES, Condition
from trackrelay.worker.cli.status.snapshot import Snapshot
from trackrelay.worker.cli.status.status_verdict import verdict
from trackrelay.worker.storage import alert_records

from .alert_channels import Channel, Heartbeat, NotSentError
from .alert_message import AlertMessage
from .alert_tracker import AlertTracker, Change

log = structlog.get_logger("trackrelay.watch")

#: The names of the alerts about stores, which are watched without a condition.
STORES = ("redis", "postgres", "outbox")


class AlertBook(Protocol):
    """Decides which of several watchers tells an alert."""

    def claim(self, change: Change) -> bool | None:
        """Return True if the caller must tell it; False if it is told; None if another may be."""

    def is_told(self, change: Change) -> bool:
        """Return whether some watcher has told it."""

    def confirm(self, change: Change) -> None:
        """Record that it was told."""


class SharedBook:
    """The book that all watchers of an installation share, in Postgres.

    Without Postgres every watcher tells: an alert that comes twice is better than none.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def claim(self, change: Change) -> bool | None:
        """Return True if the caller must tell it; False if it is told; None if another may be."""
        try:
            with self._engine.begin() as connection:
                if alert_records.claim(
                    connection, change.name, change.state, change.text, change.since
                ):
                    return True
        except SQLAlchemyError:
            return True
        return False if self.is_told(change) else None

    def is_told(self, change: Change) -> bool:
        """Return whether some watcher has told it; without Postgres that is not known."""
        try:
            with self._engine.connect() as connection:
                return alert_records.is_told(connection, change.name, change.state)
        except SQLAlchemyError:
            return False

    def confirm(self, change: Change) -> None:
        """Record that it was told."""
        try:
            with self._engine.begin() as connection:
                alert_records.confirm(connection, change.name, change.state)
        except SQLAlchemyError:
            return

    def resume(self, tracker: AlertTracker, names: Collection[str], now: float) -> None:
        """Follow those of ``names`` that fire already: a new watcher tells when they end."""
        try:
            with self._engine.connect() as connection:
                firing = alert_records.firing(connection)
        except SQLAlchemyError:
            return
        for each in firing:
            if each.name in names:
                tracker.resume(each.name, each.text, each.since, now)


@dataclass(frozen=True, slots=True)
class Place:
    """What messages say of the installation."""

    name: str
    console_url: str = ""


class Watcher:
    """Evaluates the conditions, and tells changes to the channels.

    Args:
        conditions: what must not hold. The stores are watched besides.
        tracker: says when an alert begins and ends.
        book: says who tells it.
        channels: where it is told.
        place: what messages say of the installation.
    """

    def __init__(
        self,
        conditions: Sequence[Condition],
        tracker: AlertTracker,
        book: AlertBook,
        channels: Sequence[Channel],
        place: Place,
    ) -> None:
        self._conditions = conditions
        self._tracker = tracker
        self._book = book
        self._channels = channels
        self._place = place
        #: Changes that are not told yet, by the alert, and the channels that have taken them.
        self._owed: dict[str, Change] = {}
        self._taken: dict[Change, set[int]] = {}
        self._subjects = {each.text: each.name for each in conditions}

    def look(self, snapshot: Snapshot, now: float) -> bool:
        """Evaluate a snapshot, and tell what changed. Return whether everything is told."""
        problems, unknown = evaluate(self._conditions, snapshot)
        for change in self._tracker.update(now, problems, unknown):
            if change.state == "firing":
                log.warning("alert_fired", alert=change.name, text=change.text)
            else:
                log.warning("alert_resolved", alert=change.name)
            self._owed[change.name] = change
        for change in list(self._owed.values()):
            if self._tell(change, snapshot, now):
                del self._owed[change.name]
                self._taken.pop(change, None)
        return not self._owed

    def _tell(self, change: Change, snapshot: Snapshot, now: float) -> bool:
        taken = self._taken.get(change)
        if taken is None:
            claimed = self._book.claim(change)
            if not claimed:
                return claimed is False
            taken = self._taken[change] = set()
        elif self._book.is_told(change):
            return True  # another watcher took over, because this one needed too long
        # An alert about a store has the store's name.
        subject = self._subjects.get(change.name, change.name)
        sentence = verdict(snapshot).sentence
        message = AlertMessage(
            change, subject, sentence, self._place.name, self._place.console_url, now
        )
        for number, channel in enumerate(self._channels):
            if number in taken:
                continue
            try:
                channel.send(message)
            except NotSentError as error:
                log.error("alert_not_sent", alert=change.name, error=str(error))
            else:
                taken.add(number)
        if len(taken) < len(self._channels):
            return False
        self._book.confirm(change)
        return True


def evaluate(
    conditions: Sequence[Condition], snapshot: Snapshot
) -> tuple[dict[str, str], set[str]]:
    """Return what is wrong, by the alert, and the alerts of which nothing is known."""
    problems = {
        store: problem for store in STORES if (problem := getattr(snapshot, f"{store}_problem"))
    }
    unknown = set()
    for condition in conditions:
        if any(getattr(snapshot, store) is None for store in MEASURES[condition.name].needs):
            unknown.add(condition.text)
        elif failure := condition.failure(snapshot):
            problems[condition.text] = failure
    return problems, unknown


def watch_until(
    stop: Event,
    watcher: Watcher,
    read: Callable[[], Snapshot],
    interval_s: float,
    heartbeat: Heartbeat | None,
) -> None:
    """Look every ``interval_s`` seconds until ``stop`` is set."""
    while not stop.is_set():
        if watcher.look(read(), time.time()) and heartbeat:
            try:
                heartbeat.beat()
            except NotSentError as error:
                log.error("heartbeat_not_sent", error=str(error))
        stop.wait(interval_s)
