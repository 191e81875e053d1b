"""A producer: takes operations, checks nothing twice, and gets them into the queue."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trackrelay.configuration.producer_settings import Settings, load
from trackrelay.errors import (
    ConfigurationError,
    GeneratorEndedError,
    InvalidOperationError,
    NotEnqueuedError,
    QueueFullError,
    QueueNotSetUpError,
)
from trackrelay.operations import refs, scalars
from trackrelay.operations.cautions import caution_about_times
from trackrelay.operations.checks.object_types import set_object_types
from trackrelay.operations.checks.rejection import kind_of
from trackrelay.operations.operation import Operation
from trackrelay.operations.validation import checked_again
from trackrelay.queue.append import Entry
from trackrelay.queue.call_counts import CallCounts, counts_of
from trackrelay.queue.redis_keys import Lane

from .backends import Backend, backend_for
from .invalid_calls import InvalidCallPolicy, Mode
from .operation_methods import OperationMethods
from .trace_context import current_traceparent

if TYPE_CHECKING:
    from trackrelay.outbox.outbox_fallback import Fallback

log = logging.getLogger("trackrelay")

#: Operations that enqueue_many() sends in one round trip …
CHUNK_OPERATIONS = 500
#: … or bytes, whichever comes first: a script call blocks Redis for everybody.
CHUNK_BYTES = 1_000_000
#: How long enqueue_many() waits between two looks at a full queue.
FULL_WAIT_S = 0.5

#: Jobs that one line of the log names: what collects logs cuts long ones.
IDS_A_LINE = 100

#: What enqueue_many() does with an operation that is refused.
OnInvalid = Mode | Callable[[int, InvalidOperationError], None]


class Producer(OperationMethods):
    """Enqueues to one queue. Thread-safe, fork-safe, asleep until first used.

    Args:
        settings: as for :func:`trackrelay.configure`; what is not given comes from the environment.

    Each method of the vocabulary (``identify``, ``track`` …) returns the job's id and raises
    :class:`~trackrelay.InvalidOperationError`, :class:`~trackrelay.QueueUnavailableError` or :class:`~trackrelay.QueueFullError`.
    """

    def __init__(self, **settings: Any) -> None:
        __traceback_hide__ = True  # debug pages show the variables of a frame, passwords among them
        self.settings: Settings = load(settings)
        self.backend: Backend = backend_for(self.settings)
        #: Takes what the queue does not, with ``on_unavailable="outbox"``.
        self.fallback = fallback_for(self.settings)
        self.set_up()

    def set_up(self) -> None:
        """Set what follows from the settings."""
        scalars.set_naive_timezone(self.settings.naive_timezone)
        set_object_types(self.settings.object_types)
        if self.settings.on_invalid != "raise":
            refs.let_refusals_wait(lambda: True)
        #: Of calls that enqueued nothing.
        self.counts = counts_of(self.settings)
        self.invalid_calls = InvalidCallPolicy(self.settings.on_invalid, self.counts)

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
            except (NotEnqueuedError, QueueNotSetUpError) as error:
                if not (wait and isinstance(error, QueueFullError)):
                    return self.not_enqueued(error, entries, lane)
            time.sleep(FULL_WAIT_S)

    def _submit(self, batch: Sequence[Operation]) -> list[str]:
        return self.enqueue_all(batch)

    def awaitable(self, batch: Sequence[Operation], lane: Lane) -> Awaitable[int] | None:
        """What :mod:`trackrelay.aio` awaits to enqueue ``batch``, and gets how many were; None: it goes to the queue by itself."""
        return None

    def enqueue_many(
        self, operations: Iterable[Operation], *, on_invalid: OnInvalid | None = None
    ) -> int:
        """Enqueue any number of operations in the bulk lane, in constant memory, waiting while the queue is half full.

        The other half is for live calls: of TRACKRELAY_MAX_QUEUE_LENGTH, and of Redis' ``maxmemory``.

        Args:
            operations: an iterator of any length. It may raise InvalidOperationError while it is being drawn from only if it
                can go on afterwards (a generator cannot; ``map(entity, documents)`` can).
            on_invalid: ``"raise"``, ``"log"``, ``"dead_letter"``, or a function called with the index and the error of each operation
                that is refused; left out, as the setting says.

        Returns:
            how many were enqueued, those kept as dead letters among them. With ``on_unavailable="log"`` the others are in the log.

        Raises:
            QueueUnavailableError: with the operations that were sent last, and how many were enqueued before them.
            InvalidOperationError: an operation was refused. With another ``on_invalid`` than ``"raise"``: by a generator, which that has
                ended; what came before it is enqueued.
        """
        count = 0
        for chunk in chunks(valid(iterator_of(operations), self.invalid_calls, on_invalid)):
            with counted(count):
                count += self.enqueue_chunk(self.entries(chunk))
        return count

    def enqueue_chunk(self, entries: Sequence[Entry]) -> int:
        """Enqueue some of many, in the bulk lane, waiting while the queue is full; returns how many were."""
        return self.append(entries, "bulk", wait=True)

    @contextmanager
    def pipeline(self) -> Iterator[Pipeline]:
        """Collect operations and send them in one round trip, all or none, when the block ends without an error."""
        pipeline = Pipeline(self.invalid_calls)
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

    def not_enqueued(
        self, error: NotEnqueuedError | QueueNotSetUpError, entries: Sequence[Entry], lane: Lane
    ) -> int:
        """Raise ``error``, log it, or write ``entries`` to the outbox, as ``on_unavailable`` says; returns how many are there."""
        if self.fallback is not None:
            self.fallback.write(entries, lane, error)
            return len(entries)
        if self.settings.on_unavailable == "log":
            log_lost(entries, error, counts=self.counts)
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
        raise ConfigurationError(
            "TRACKRELAY_ON_UNAVAILABLE is 'outbox', but TRACKRELAY_OUTBOX_URL is not set"
        )
    try:
        from trackrelay.outbox.outbox_fallback import Fallback
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"TRACKRELAY_ON_UNAVAILABLE is 'outbox', but {error}") from None
    return Fallback(settings.outbox_url, settings.enqueue_timeout_s)


@contextmanager
def counted(before: int) -> Iterator[None]:
    """What is not enqueued inside comes after ``before`` operations that were."""
    try:
        yield
    except NotEnqueuedError as error:
        error.enqueued_before = before
        raise


def log_lost(
    entries: Sequence[Entry],
    why: Exception,
    when: str = "",
    *,
    exc_info: bool = False,
    counts: CallCounts | None = None,
) -> None:
    """Log id and operation of every job of ``entries`` that was not enqueued ``when``, and count them: nobody else is told."""
    if counts is not None:
        counts.add("unavailable", [(entry.operation.name, type(why).__name__) for entry in entries])
    operations = [entry.operation for entry in entries]
    for start in range(0, len(operations), IDS_A_LINE):
        line = operations[start : start + IDS_A_LINE]
        ids = ", ".join(each.id for each in line)
        jobs = f"job {ids} was" if len(line) == 1 else f"jobs {ids} were"
        # One name for each id, in the same order.
        names = ", ".join(each.name for each in line)
        log.error(
            "trackrelay: %s not enqueued%s (%s): %s", jobs, when, names, why, exc_info=exc_info
        )


class Pipeline(OperationMethods):
    """Operations waiting to be sent together. Has every function of the vocabulary; each returns the job's id."""

    def __init__(self, invalid_calls: InvalidCallPolicy | None = None) -> None:
        self.operations: list[Operation] = []
        self.invalid_calls = invalid_calls or InvalidCallPolicy()

    def _submit(self, batch: Sequence[Operation]) -> list[str]:
        self.operations += batch
        return [operation.id for operation in batch]


def valid(
    source: Iterator[Operation], invalid_calls: InvalidCallPolicy, on_invalid: OnInvalid | None
) -> Iterator[Operation]:
    """The operations of ``source``; of those refused while being made, what ``on_invalid`` leaves.

    Raises:
        GeneratorEndedError: ``on_invalid`` took one, but nothing can follow it.
    """
    for index in itertools.count():
        try:
            operation = next(source)
        except StopIteration:
            return
        except InvalidOperationError as error:
            yield from report(error, index, invalid_calls, on_invalid)
            check_goes_on(error, index, source)
        else:
            try:
                operation = checked_again(operation)
            except InvalidOperationError as error:
                yield from report(error, index, invalid_calls, on_invalid)
            else:
                yield operation


def iterator_of(operations: object) -> Iterator[Operation]:
    """The iterator of what enqueue_many() was given."""
    try:
        return iter(operations)  # type: ignore[call-overload, no-any-return]
    except TypeError:
        kind = kind_of(operations)
        raise InvalidOperationError(
            f"enqueue_many() takes an iterable of operations, not {kind}",
            field="operations",
            limit="an iterable of operations",
            actual=kind,
        ) from None


def report(
    error: InvalidOperationError,
    index: int,
    invalid_calls: InvalidCallPolicy,
    on_invalid: OnInvalid | None,
) -> list[Operation]:
    """Tell ``on_invalid`` of an operation that was refused while being made; returns what is enqueued instead."""
    if callable(on_invalid):
        invalid_calls.count(error)
        on_invalid(index, error)
        return []
    return [
        part for part in invalid_calls.instead(error, on_invalid) if isinstance(part, Operation)
    ]


def check_goes_on(
    error: InvalidOperationError, index: int, source: Iterator[Operation] | AsyncIterator[Operation]
) -> None:
    """Raise GeneratorEndedError if nothing can follow what ``source`` could not make: it would look as if it had come to its end."""
    if isinstance(source, Generator | AsyncGenerator):
        raise GeneratorEndedError(
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
    except GeneratorEndedError:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk
