"""A producer: takes operations, checks nothing twice, and gets them into the queue."""

from __future__ import annotations

import functools
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Concatenate, Literal, ParamSpec

from . import operations, values
from .append import Entry
from .backends import Backend, backend_for
from .errors import ConfigurationError, InvalidOperation, NotEnqueued, QueueFull
from .operation import Operation
from .redis_keys import Lane
from .settings import Settings, load
from .trace import current_traceparent

P = ParamSpec("P")
log = logging.getLogger("trackrelay")

#: Operations that enqueue_many() sends in one round trip …
CHUNK_OPERATIONS = 500
#: … or bytes, whichever comes first: a script call blocks Redis for everybody.
CHUNK_BYTES = 1_000_000
#: How long enqueue_many() waits between two looks at a full queue.
FULL_WAIT_S = 0.5

OnInvalid = Literal["raise"] | Callable[[int, InvalidOperation], None]


def _enqueues(make: Callable[P, Operation]) -> Callable[Concatenate[Producer, P], str]:
    @functools.wraps(make)
    def method(self: Producer, *args: P.args, **kwargs: P.kwargs) -> str:
        return self.enqueue(make(*args, **kwargs))

    return method


def _enqueues_each(make: Callable[P, Sequence[Operation]]) -> Callable[Concatenate[Producer, P], list[str]]:
    @functools.wraps(make)
    def method(self: Producer, *args: P.args, **kwargs: P.kwargs) -> list[str]:
        return self.enqueue_all(make(*args, **kwargs))

    return method


class Producer:
    """Enqueues to one queue. Thread-safe, fork-safe, asleep until first used.

    Args:
        settings: as for :func:`producers.configure`; what is not given comes from the environment.

    Each method of the vocabulary (``identify``, ``track`` …) returns the job's id and raises
    :class:`~producers.InvalidOperation`, :class:`~producers.QueueUnavailable` or :class:`~producers.QueueFull`.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings: Settings = load(settings)
        if self.settings.on_unavailable == "outbox" and not self.settings.outbox_url:
            raise ConfigurationError("TRACKRELAY_ON_UNAVAILABLE is 'outbox', but TRACKRELAY_OUTBOX_URL is not set")
        self.backend: Backend = backend_for(self.settings)
        values.set_naive_timezone(self.settings.naive_timezone)

    def enqueue(self, operation: Operation, *, lane: Lane = "live") -> str:
        """Enqueue one operation and return its job's id. Enqueueing the same value again delivers it once."""
        return self.enqueue_all((operation,), lane=lane)[0]

    def enqueue_all(self, batch: Sequence[Operation], *, lane: Lane = "live") -> list[str]:
        """Enqueue some operations in one round trip, all or none, and return their jobs' ids."""
        if batch:
            try:
                self.backend.append(self.entries(batch), lane)
            except NotEnqueued as error:
                self.not_enqueued(error)
        return [operation.id for operation in batch]

    def enqueue_many(self, operations: Iterable[Operation], *, on_invalid: OnInvalid = "raise") -> int:
        """Enqueue any number of operations in the bulk lane, in constant memory, waiting while the queue is full.

        Args:
            operations: an iterator of any length. It may raise InvalidOperation while it is being drawn from only if it
                can go on afterwards (a generator cannot; ``map(entity, documents)`` can).
            on_invalid: ``"raise"``, or a function called with the index and the error of each operation that is refused.

        Returns:
            how many were enqueued.
        """
        count = 0
        for chunk in chunks(valid(iter(operations), on_invalid)):
            self._append_when_there_is_room(self.entries(chunk))
            count += len(chunk)
        return count

    @contextmanager
    def pipeline(self) -> Iterator[Pipeline]:
        """Collect operations and send them in one round trip, all or none, when the block ends without an error."""
        pipeline = Pipeline()
        yield pipeline
        self.enqueue_all(pipeline.operations)

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        self.backend.close()

    def entries(self, batch: Sequence[Operation]) -> list[Entry]:
        """The stream entries for ``batch``."""
        source, trace = self.settings.source, current_traceparent()
        return [Entry.of(operation, source=source, trace=trace) for operation in batch]

    def _append_when_there_is_room(self, entries: list[Entry]) -> None:
        while True:
            try:
                return self.backend.append(entries, "bulk")
            except QueueFull:
                time.sleep(FULL_WAIT_S)

    def not_enqueued(self, error: NotEnqueued) -> None:
        """Raise ``error`` or log it, as ``on_unavailable`` says."""
        if self.settings.on_unavailable != "log":
            raise error
        log.error("trackrelay: job %s was not enqueued: %s", error.job_id, error)

    identify = _enqueues(operations.identify)
    track = _enqueues(operations.track)
    page = _enqueues(operations.page)
    screen = _enqueues(operations.screen)
    track_anonymous = _enqueues(operations.track_anonymous)
    delete_person = _enqueues(operations.delete_person)
    suppress = _enqueues(operations.suppress)
    unsuppress = _enqueues(operations.unsuppress)
    merge = _enqueues(operations.merge)
    add_device = _enqueues(operations.add_device)
    delete_device = _enqueues(operations.delete_device)
    identify_object = _enqueues(operations.identify_object)
    delete_object = _enqueues(operations.delete_object)
    add_relationships = _enqueues(operations.add_relationships)
    delete_relationships = _enqueues(operations.delete_relationships)
    add_to_segment = _enqueues_each(operations.add_to_segment)
    remove_from_segment = _enqueues_each(operations.remove_from_segment)
    submit_form = _enqueues(operations.submit_form)
    unsubscribe = _enqueues(operations.unsubscribe)
    report_metric = _enqueues(operations.report_metric)
    entity = _enqueues(operations.entity)


def _collects(make: Callable[P, Operation]) -> Callable[Concatenate[Pipeline, P], str]:
    @functools.wraps(make)
    def method(self: Pipeline, *args: P.args, **kwargs: P.kwargs) -> str:
        return self.add(make(*args, **kwargs))

    return method


def _collects_each(make: Callable[P, Sequence[Operation]]) -> Callable[Concatenate[Pipeline, P], list[str]]:
    @functools.wraps(make)
    def method(self: Pipeline, *args: P.args, **kwargs: P.kwargs) -> list[str]:
        return [self.add(operation) for operation in make(*args, **kwargs)]

    return method


class Pipeline:
    """Operations waiting to be sent together. Has every function of the vocabulary; each returns the job's id."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def add(self, operation: Operation) -> str:
        """Add an operation and return its job's id."""
        self.operations.append(operation)
        return operation.id

    identify = _collects(operations.identify)
    track = _collects(operations.track)
    page = _collects(operations.page)
    screen = _collects(operations.screen)
    track_anonymous = _collects(operations.track_anonymous)
    delete_person = _collects(operations.delete_person)
    suppress = _collects(operations.suppress)
    unsuppress = _collects(operations.unsuppress)
    merge = _collects(operations.merge)
    add_device = _collects(operations.add_device)
    delete_device = _collects(operations.delete_device)
    identify_object = _collects(operations.identify_object)
    delete_object = _collects(operations.delete_object)
    add_relationships = _collects(operations.add_relationships)
    delete_relationships = _collects(operations.delete_relationships)
    add_to_segment = _collects_each(operations.add_to_segment)
    remove_from_segment = _collects_each(operations.remove_from_segment)
    submit_form = _collects(operations.submit_form)
    unsubscribe = _collects(operations.unsubscribe)
    report_metric = _collects(operations.report_metric)
    entity = _collects(operations.entity)


def valid(source: Iterator[Operation], on_invalid: OnInvalid) -> Iterator[Operation]:
    """The operations of ``source``, those refused while being made left out if ``on_invalid`` takes them."""
    for index in itertools.count():
        try:
            yield next(source)
        except StopIteration:
            return
        except InvalidOperation as error:
            if on_invalid == "raise":
                raise
            on_invalid(index, error)


def chunks(source: Iterator[Operation]) -> Iterator[list[Operation]]:
    """Groups of operations that go in one round trip each."""
    chunk: list[Operation] = []
    size = 0
    for operation in source:
        chunk.append(operation)
        size += len(operation.body)
        if len(chunk) == CHUNK_OPERATIONS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
