"""Note which attributes of a person change with an event, such as ``orders_count`` with an order.

What is waited for stays in bounded memory, for ten minutes. Only counts leave it: how many events
were waited for, and how many of them each attribute came with.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from functools import lru_cache

import msgspec

from trackrelay.worker.storage.stored_job import Job

from . import names
from .catalog_observer import JobData, Observation, Subject

#: How long after an event a change of the person's attributes belongs to it, and how long before.
AFTER_S, BEFORE_S = 600.0, 60.0
#: Events that are waited for at the same time, and people whose last change is remembered.
MAX_WAITING, MAX_PEOPLE = 5_000, 5_000
#: Events of one person that are waited for. More are those of nobody in particular.
MAX_EACH = 10
#: Attributes that are told apart for each event.
MAX_ATTRIBUTES = 20
#: Characters of an attribute's name.
MAX_NAME = 100

#: Types of rows of the catalog: the events that were waited for, and those with an attribute.
WAITED = "waited for state"
_WITH = "with state "


def state_type(attribute: str) -> str:
    """Return the type of the row that counts the events which an attribute came with."""
    return f"{_WITH}{attribute}"


def attribute_of(of_type: str) -> str | None:
    """Return the attribute whose changes a row counts; None if it is another type."""
    return of_type.removeprefix(_WITH) if of_type.startswith(_WITH) else None


@lru_cache(maxsize=10_000)
def _is_decisive(event: str) -> bool:
    return names.is_decisive(event)


class _Waiting(msgspec.Struct, gc=False):
    """An event that is waited for."""

    subject: Subject
    person: str
    at: float
    found: set[str]


class StateNotes:
    """What one process waits for. The observer calls it, one thread at a time."""

    def __init__(self) -> None:
        self._queue: deque[_Waiting] = deque()
        self._waiting: dict[str, list[_Waiting]] = {}
        #: By person: when attributes changed last, and which.
        self._changes: dict[str, tuple[float, frozenset[str]]] = {}
        self._counts: Counter[tuple[Subject, str]] = Counter()
        self._known: dict[Subject, set[str]] = {}

    def note(self, subject: Subject, job: Job, data: JobData, now: float) -> None:
        """Note an event that decides something, or a change of a person's attributes.

        Args:
            subject: what the catalog counts it under.
            job: a job that is looked at.
            data: its document.
            now: unix seconds.
        """
        self._end(now - AFTER_S)
        person = job.first_key
        if subject.operation == "person.identify":
            if isinstance(data.attributes, dict):
                self._changed(person, frozenset(data.attributes), now)
        elif subject.name and _is_decisive(subject.name) and len(self._queue) < MAX_WAITING:
            others = self._waiting.setdefault(person, [])
            if len(others) >= MAX_EACH:
                return
            changed_at, attributes = self._changes.get(person, (0.0, frozenset[str]()))
            recent = set(attributes) if now - changed_at <= BEFORE_S else set()
            waiting = _Waiting(subject, person, now, recent)
            self._queue.append(waiting)
            others.append(waiting)

    def skipped(self) -> None:
        """Learn that some jobs are not looked at: what is waited for may be among them."""
        self._queue.clear()
        self._waiting.clear()
        self._changes.clear()

    def observations(self) -> Iterator[Observation]:
        """Yield what is to be counted in the catalog, and forget it."""
        for (subject, of_type), jobs in self._counts.items():
            yield Observation(subject, "", of_type, jobs)
        self._counts.clear()
        self._known.clear()

    def take(self) -> Callable[[], None]:
        """Return what writes down the rest: nothing else leaves the memory."""
        return lambda: None

    def _changed(self, person: str, attributes: frozenset[str], now: float) -> None:
        for waiting in self._waiting.get(person, ()):
            waiting.found.update(attributes)
        self._changes.pop(person, None)
        self._changes[person] = (now, attributes)
        if len(self._changes) > MAX_PEOPLE:
            del self._changes[next(iter(self._changes))]

    def _end(self, before: float) -> None:
        while self._queue and self._queue[0].at < before:
            ended = self._queue.popleft()
            others = self._waiting[ended.person]
            others.remove(ended)
            if not others:
                del self._waiting[ended.person]
            known = self._known.setdefault(ended.subject, set())
            self._counts[ended.subject, WAITED] += 1
            for name in ended.found:
                if len(name) <= MAX_NAME and (name in known or len(known) < MAX_ATTRIBUTES):
                    known.add(name)
                    self._counts[ended.subject, state_type(name)] += 1
