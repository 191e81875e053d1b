"""The producer: enqueues operations, and applies ``on_unavailable`` and ``on_invalid``."""

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
from trackrelay.operations import plan_hook, refs, scalars
from trackrelay.operations.cautions import caution_about_times
from trackrelay.operations.checks.object_types import set_object_types
from trackrelay.operations.checks.rejection import kind_of
from trackrelay.operations.operation import Operation
from trackrelay.operations.validation import checked_again
from trackrelay.queue.append import Entry
from trackrelay.queue.call_counts import CallCounts, counts_of
from trackrelay.queue.redis_keys import Lane

from .backends import Backend, backend_for
from .call_spans import NO_SPAN, NoSpan, call_span
from .invalid_calls import InvalidCallPolicy, Mode
from .operation_methods import OperationMethods
from .planned_calls import call_plan_of
from .trace_context import current_traceparent

if TYPE_CHECKING:
    from trackrelay.outbox.outbox_fallback import Fallback

log = logging.getLogger("trackrelay")

#: enqueue_many() enqueues at most so many operations in one round trip …
CHUNK_OPERATIONS = 500
#: … and starts another after so many bytes: a script call blocks Redis for all its clients.
CHUNK_BYTES = 1_000_000
#: Seconds between two attempts of enqueue_many() to append to a full queue.
FULL_WAIT_S = 0.5

#: Jobs that one log line names. Log collectors cut longer lines.
IDS_A_LINE = 100

#: What enqueue_many() does with a refused operation.
OnInvalid = Mode | Callable[[int, InvalidOperationError], None]


class Producer(OperationMethods):
    """Enqueues to one queue. Thread-safe and fork-safe; connects at the first call.

    Args:
        settings: as for :func:`trackrelay.configure`. The environment supplies the others.

    Each method of the vocabulary (``identify``, ``track`` …) returns the id of the job and raises
    :class:`~trackrelay.InvalidOperationError`, :class:`~trackrelay.QueueUnavailableError` or
    :class:`~trackrelay.QueueFullError`.
    """

    def __init__(self, **settings: Any) -> None:
        __traceback_hide__ = True  # Debug pages show the variables of a frame, and so passwords.
        self.settings: Settings = load(settings)
        self.backend: Backend = backend_for(self.settings)
        #: Takes what the queue does not, if ``on_unavailable`` is ``outbox``.
        self.fallback = fallback_for(self.settings)
        self.set_up()

    def set_up(self) -> None:
        """Apply the settings that hold in the whole process, and make the counters."""
        scalars.set_naive_timezone(self.settings.naive_timezone)
        set_object_types(self.settings.object_types)
        plan_hook.set_call_plan(call_plan_of(self.settings))
        if self.settings.on_invalid != "raise":
            refs.defer_refusals(lambda: True)
        #: Counts the calls that enqueued nothing.
        self.counts = counts_of(self.settings)
        self.invalid_calls = InvalidCallPolicy(self.settings.on_invalid, self.counts)

    def enqueue(self, operation: Operation, *, lane: Lane = "live") -> str:
        """Enqueue one operation and return the id of its job.

        The same operation enqueued again is delivered once.
        """
        return self.enqueue_all((operation,), lane=lane)[0]

    def enqueue_all(self, batch: Sequence[Operation], *, lane: Lane = "live") -> list[str]:
        """Enqueue operations in one round trip, all or none, and return the ids of their jobs."""
        if batch:
            with self.span(batch, lane) as span:
                if not self.append(self.entries(batch), lane):
                    span.failed("NotEnqueuedError")
        return [operation.id for operation in batch]

    def append(self, entries: Sequence[Entry], lane: Lane, *, wait: bool = False) -> int:
        """Append ``entries`` to the queue, or apply ``on_unavailable``.

        Args:
            entries: the encoded operations.
            lane: the lane of the queue.
            wait: whether to wait while the queue is full.

        Returns:
            How many were enqueued: all, or none if ``on_unavailable`` logged them.
        """
        # Most calls bring one operation that has no time of its own.
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
        """Return what :mod:`trackrelay.aio` awaits in order to enqueue ``batch``.

        None: :mod:`trackrelay.aio` appends to the queue by itself.
        """
        return None

    def enqueue_many(
        self, operations: Iterable[Operation], *, on_invalid: OnInvalid | None = None
    ) -> int:
        """Enqueue any number of operations in the bulk lane, in constant memory.

        Wait while the queue is half full. The other half is for live calls, both of
        TRACKRELAY_MAX_QUEUE_LENGTH and of the ``maxmemory`` of Redis.

        Args:
            operations: an iterable of any length. If its iterator raises InvalidOperationError, it
                must be able to continue: ``map(entity, documents)`` can, a generator cannot.
            on_invalid: ``"raise"``, ``"log"``, ``"dead_letter"``, or a function that is called with
                the index and the error of each refused operation; default: the setting.

        Returns:
            How many were enqueued, dead letters included. With ``on_unavailable="log"`` the log
            names the others.

        Raises:
            QueueUnavailableError: names the operations that were not confirmed, and how many were
                enqueued before them.
            InvalidOperationError: an operation was refused and ``on_invalid`` is ``"raise"``, or a
                generator ended because it raised.
        """
        count = 0
        for chunk in chunks(valid(iterator_of(operations), self.invalid_calls, on_invalid)):
            with counted(count), self.span(chunk, "bulk"):
                count += self.enqueue_chunk(self.entries(chunk))
        return count

    def enqueue_chunk(self, entries: Sequence[Entry]) -> int:
        """Enqueue a chunk in the bulk lane, wait while the queue is full, and return its size."""
        return self.append(entries, "bulk", wait=True)

    @contextmanager
    def pipeline(self) -> Iterator[Pipeline]:
        """Collect operations, and enqueue them in one round trip at the end of the block.

        Either all are enqueued or none.
        """
        pipeline = Pipeline(self.invalid_calls)
        yield pipeline
        self.enqueue_all(pipeline.operations)

    def close(self) -> None:
        """Close the connections. The next call opens new ones."""
        self.backend.close()
        if self.fallback is not None:
            self.fallback.close()

    def entries(self, batch: Sequence[Operation]) -> list[Entry]:
        """Return the stream entries of ``batch``."""
        source = self.settings.source
        trace = current_traceparent() if self.settings.tracing else None
        return [Entry.of(operation, source=source, trace=trace) for operation in batch]

    def span(self, batch: Sequence[Operation], lane: Lane) -> NoSpan:
        """Return the span of a call that enqueues ``batch``, as a context manager."""
        return call_span(batch, lane) if self.settings.tracing else NO_SPAN

    def not_enqueued(
        self, error: NotEnqueuedError | QueueNotSetUpError, entries: Sequence[Entry], lane: Lane
    ) -> int:
        """Raise ``error``, log it, or write ``entries`` to the outbox, as ``on_unavailable`` says.

        Return how many are in the outbox.
        """
        if self.fallback is not None:
            self.fallback.write(entries, lane, error)
            return len(entries)
        if self.settings.on_unavailable == "log":
            log_lost(entries, error, counts=self.counts)
            return 0
        raise error


def fallback_for(settings: Settings) -> Fallback | None:
    """Return the outbox for ``on_unavailable="outbox"``, or None.

    Raises:
        ConfigurationError: TRACKRELAY_OUTBOX_URL or SQLAlchemy is missing.
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
    """Add to a NotEnqueuedError that ``before`` operations were enqueued before it."""
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
    """Log id and operation of each job that was not enqueued, and count it.

    Args:
        entries: the jobs.
        why: the error.
        when: what the sentence says of the time, with a blank before it.
        exc_info: whether to log the traceback.
        counts: counts the jobs.
    """
    if counts is not None:
        counts.add("unavailable", [(entry.operation.name, type(why).__name__) for entry in entries])
    operations = [entry.operation for entry in entries]
    for start in range(0, len(operations), IDS_A_LINE):
        line = operations[start : start + IDS_A_LINE]
        ids = ", ".join(each.id for each in line)
        jobs = f"job {ids} was" if len(line) == 1 else f"jobs {ids} were"
        # One name for each id, in the order of the ids.
        names = ", ".join(each.name for each in line)
        log.error(
            "trackrelay: %s not enqueued%s (%s): %s", jobs, when, names, why, exc_info=exc_info
        )


class Pipeline(OperationMethods):
    """Collects operations. Each method of the vocabulary returns the job's id."""

    def __init__(self, invalid_calls: InvalidCallPolicy | None = None) -> None:
        self.operations: list[Operation] = []
        self.invalid_calls = invalid_calls or InvalidCallPolicy()

    def _submit(self, batch: Sequence[Operation]) -> list[str]:
        self.operations += batch
        return [operation.id for operation in batch]


def valid(
    source: Iterator[Operation], invalid_calls: InvalidCallPolicy, on_invalid: OnInvalid | None
) -> Iterator[Operation]:
    """Yield the operations of ``source``, and in place of refused ones what ``on_invalid`` leaves.

    Raises:
        GeneratorEndedError: a refusal ended ``source``.
    """
    for index in itertools.count():
        try:
            operation = next(source)
        except StopIteration:
            return
        except InvalidOperationError as error:
            yield from report(error, index, invalid_calls, on_invalid)
            check_can_continue(error, index, source)
        else:
            try:
                operation = checked_again(operation)
            except InvalidOperationError as error:
                yield from report(error, index, invalid_calls, on_invalid)
            else:
                yield operation


def iterator_of(operations: object) -> Iterator[Operation]:
    """Return the iterator over the argument of enqueue_many()."""
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
    """Apply ``on_invalid`` to a refused operation, and return what is enqueued in its place."""
    if callable(on_invalid):
        invalid_calls.count(error)
        on_invalid(index, error)
        return []
    return [
        part
        for part in invalid_calls.replacements(error, on_invalid)
        if isinstance(part, Operation)
    ]


def check_can_continue(
    error: InvalidOperationError, index: int, source: Iterator[Operation] | AsyncIterator[Operation]
) -> None:
    """Raise GeneratorEndedError if ``source`` is a generator that raised ``error``.

    Python resumes no such generator: its end would look like the end of the data.
    """
    if isinstance(source, Generator | AsyncGenerator):
        raise GeneratorEndedError(
            f"operation {index:,} was refused inside a generator, and that ends it: the {index:,} "
            "before it are enqueued, those after it are not. An iterator such as map(…) would "
            f"continue. It was refused because {error}",
            field=error.field,
            limit=error.limit,
            actual=error.actual,
        ) from error


def chunks(source: Iterator[Operation]) -> Iterator[list[Operation]]:
    """Yield groups of operations, one for each round trip."""
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
