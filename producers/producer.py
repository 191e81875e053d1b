"""A producer: takes operations, checks nothing twice, and gets them into the queue."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from . import values
from .append import Entry
from .backends import Backend, backend_for
from .cautions import caution_about_times
from .checks.object_types import set_object_types
from .checks.refusal import kind_of
from .document import checked_again
from .errors import ConfigurationError, GeneratorEnded, InvalidOperation, NotEnqueued, QueueFull, QueueNotSetUp
from .operation import Operation
from .redis_keys import Lane
from .settings import Settings, load
from .trace import current_traceparent
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from .outbox.fallback import Fallback

log = logging.getLogger("trackrelay")

#: Operations that enqueue_many() sends in one round trip …
CHUNK_OPERATIONS = 500
#: … or bytes, whichever comes first: a script call blocks Redis for everybody.
CHUNK_BYTES = 1_000_000
#: How long enqueue_many() waits between two looks at a full queue.
FULL_WAIT_S = 0.5

#: Jobs that one line of the log names: what collects logs cuts long ones.
IDS_A_LINE = 100

OnInvalid = Literal["raise"] | Callable[[int, InvalidOperation], None]


class Producer(Vocabulary):
    """Enqueues to one queue. Thread-safe, fork-safe, asleep until first used.

    Args:
        settings: as for :func:`producers.configure`; what is not given comes from the environment.

    Each method of the vocabulary (``identify``, ``track`` …) returns the job's id and raises
    :class:`~producers.InvalidOperation`, :class:`~producers.QueueUnavailable` or :class:`~producers.QueueFull`.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings: Settings = load(settings)
        self.backend: Backend = backend_for(self.settings)
        #: Takes what the queue does not, with ``on_unavailable="outbox"``.
        self.fallback = fallback_for(self.settings)
        values.set_naive_timezone(self.settings.naive_timezone)
        set_object_types(self.settings.object_types)

    def enqueue(self, operation: Operation, *, lane: Lane = "live") -> str:
        """Enqueue one operation and return its job's id. Enqueueing the same value again delivers it once."""
        return self.enqueue_all((operation,), lane=lane)[0]

    def enqueue_all(self, batch: Sequence[Operation], *, lane: Lane = "live") -> list[str]:
        """Enqueue some operations in one round trip, all or none, and return their jobs' ids."""
        if batch:
            self.append(self.entries(batch), lane)
        return [operation.id for operation in batch]

    def append(self, entries: Sequence[Entry], lane: Lane, *, wait: bool = False) -> int:
        """Append ``entries`` to the queue, or do with them what ``on_unavailable`` says.

        Args:
            wait: while the queue is full.

        Returns:
            how many were enqueued: all of them, or none if that they were not was logged.
        """
        # Most calls bring one operation, which takes the queue's time.
        if lane == "live" and (len(entries) != 1 or not entries[0].operation.stamp):
            caution_about_times(entries)
        if self.fallback is not None and self.fallback.must_take(entries):
            self.fallback.write(entries, lane)
            return len(entries)
        while True:
            try:
                self.backend.append(entries, lane)
                return len(entries)
            except (NotEnqueued, QueueNotSetUp) as error:
                if not (wait and isinstance(error, QueueFull)):
                    return self.not_enqueued(error, entries, lane)
            time.sleep(FULL_WAIT_S)

    def take(self, batch: Sequence[Operation]) -> list[str]:
        """Enqueue what one of the vocabulary's methods made."""
        return self.enqueue_all(batch)

    def awaitable(self, batch: Sequence[Operation], lane: Lane) -> Awaitable[int] | None:
        """What :mod:`producers.aio` awaits to enqueue ``batch``, and gets how many were; None: it goes to the queue by itself."""
        return None

    def enqueue_many(self, operations: Iterable[Operation], *, on_invalid: OnInvalid = "raise") -> int:
        """Enqueue any number of operations in the bulk lane, in constant memory, waiting while the queue is half full.

        The other half is for live calls: of TRACKRELAY_MAX_QUEUE_LENGTH, and of Redis' ``maxmemory``.

        Args:
            operations: an iterator of any length. It may raise InvalidOperation while it is being drawn from only if it
                can go on afterwards (a generator cannot; ``map(entity, documents)`` can).
            on_invalid: ``"raise"``, or a function called with the index and the error of each operation that is refused.

        Returns:
            how many were enqueued. With ``on_unavailable="log"`` the others are in the log.

        Raises:
            QueueUnavailable: with the operations that were sent last, and how many were enqueued before them.
            InvalidOperation: an operation was refused. With an ``on_invalid`` that is a function: by a generator, which that has
                ended; what came before it is enqueued.
        """
        count = 0
        for chunk in chunks(valid(iterator_of(operations), on_invalid)):
            with counted(count):
                count += self.take_chunk(self.entries(chunk))
        return count

    def take_chunk(self, entries: Sequence[Entry]) -> int:
        """Enqueue some of many, in the bulk lane, waiting while the queue is full; returns how many were."""
        return self.append(entries, "bulk", wait=True)

    @contextmanager
    def pipeline(self) -> Iterator[Pipeline]:
        """Collect operations and send them in one round trip, all or none, when the block ends without an error."""
        pipeline = Pipeline()
        yield pipeline
        self.enqueue_all(pipeline.operations)

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        self.backend.close()
        if self.fallback is not None:
            self.fallback.close()

    def entries(self, batch: Sequence[Operation]) -> list[Entry]:
        """The stream entries for ``batch``."""
        source, trace = self.settings.source, current_traceparent()
        return [Entry.of(operation, source=source, trace=trace) for operation in batch]

    def not_enqueued(self, error: NotEnqueued | QueueNotSetUp, entries: Sequence[Entry], lane: Lane) -> int:
        """Raise ``error``, log it, or write ``entries`` to the outbox, as ``on_unavailable`` says; returns how many are there."""
        if self.fallback is not None:
            self.fallback.write(entries, lane, error)
            return len(entries)
        if self.settings.on_unavailable == "log" and isinstance(error, NotEnqueued):
            log_lost(entries, error)
            return 0
        raise error


def fallback_for(settings: Settings) -> Fallback | None:
    """The outbox that takes what the queue does not, if that is what ``on_unavailable`` says.

    Raises:
        ConfigurationError: it says so, but not where, or SQLAlchemy is missing.
    """
    if settings.on_unavailable != "outbox" or settings.backend != "redis":
        return None
    if not settings.outbox_url:
        raise ConfigurationError("TRACKRELAY_ON_UNAVAILABLE is 'outbox', but TRACKRELAY_OUTBOX_URL is not set")
    try:
        from .outbox.fallback import Fallback
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"TRACKRELAY_ON_UNAVAILABLE is 'outbox', but {error}") from None
    return Fallback(settings.outbox_url, settings.enqueue_timeout)


@contextmanager
def counted(before: int) -> Iterator[None]:
    """What is not enqueued inside comes after ``before`` operations that were."""
    try:
        yield
    except NotEnqueued as error:
        error.enqueued_before = before
        raise


def log_lost(entries: Sequence[Entry], why: Exception, when: str = "", *, exc_info: bool = False) -> None:
    """Log the id of every job of ``entries`` that was not enqueued ``when``: nobody else is told."""
    ids = [entry.operation.id for entry in entries]
    for start in range(0, len(ids), IDS_A_LINE):
        line = ids[start : start + IDS_A_LINE]
        jobs = f"job {line[0]} was" if len(line) == 1 else f"jobs {', '.join(line)} were"
        log.error("trackrelay: %s not enqueued%s: %s", jobs, when, why, exc_info=exc_info)


class Pipeline(Vocabulary):
    """Operations waiting to be sent together. Has every function of the vocabulary; each returns the job's id."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def take(self, batch: Sequence[Operation]) -> list[str]:
        """Add operations and return their jobs' ids."""
        self.operations += batch
        return [operation.id for operation in batch]


def valid(source: Iterator[Operation], on_invalid: OnInvalid) -> Iterator[Operation]:
    """The operations of ``source``, those refused while being made left out if ``on_invalid`` takes them.

    Raises:
        GeneratorEnded: ``on_invalid`` took one, but nothing can follow it.
    """
    for index in itertools.count():
        try:
            operation = next(source)
        except StopIteration:
            return
        except InvalidOperation as error:
            report(error, index, source, on_invalid)
        else:
            try:
                operation = checked_again(operation)
            except InvalidOperation as error:
                report(error, index, None, on_invalid)
            else:
                yield operation


def iterator_of(operations: object) -> Iterator[Operation]:
    """The iterator of what enqueue_many() was given."""
    try:
        return iter(operations)  # type: ignore[call-overload, no-any-return]
    except TypeError:
        kind = kind_of(operations)
        raise InvalidOperation(
            f"enqueue_many() takes an iterable of operations, not {kind}",
            field="operations",
            limit="an iterable of operations",
            actual=kind,
        ) from None


def report(
    error: InvalidOperation,
    index: int,
    source: Iterator[Operation] | AsyncIterator[Operation] | None,
    on_invalid: OnInvalid,
) -> None:
    """Tell ``on_invalid`` of a refused operation, and see whether others can follow.

    Args:
        source: what could not make the operation; None: it made what is no operation, and can go on.
    """
    if on_invalid == "raise":
        raise error
    on_invalid(index, error)
    # It would look as if it had come to its end.
    if isinstance(source, Generator | AsyncGenerator):
        raise GeneratorEnded(
            f"operation {index:,} was refused inside a generator, which that ends: the {index:,} before it are enqueued, "
            f"those after it are not. An iterator such as map(…) goes on. It was refused because {error}",
            field=error.field,
            limit=error.limit,
            actual=error.actual,
        ) from error


def chunks(source: Iterator[Operation]) -> Iterator[list[Operation]]:
    """Groups of operations that go in one round trip each."""
    chunk: list[Operation] = []
    size = 0
    try:
        for operation in source:
            chunk.append(operation)
            size += len(operation.body)
            if len(chunk) == CHUNK_OPERATIONS or size >= CHUNK_BYTES:
                yield chunk
                chunk, size = [], 0
    except GeneratorEnded:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk
