"""The functions of :mod:`trackrelay` as coroutines."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from typing import Any, ParamSpec

from . import operations
from .calls.invalid_calls import InvalidCallPolicy
from .calls.operation_methods import JOB_ID, JOB_IDS, present
from .calls.producer import (
    FULL_WAIT_S,
    OnInvalid,
    Pipeline,
    Producer,
    check_can_continue,
    chunks,
    counted,
    iterator_of,
    report,
    valid,
)
from .default import configure, default_producer
from .errors import (
    GeneratorEndedError,
    InvalidOperationError,
    NotEnqueuedError,
    QueueFullError,
    QueueNotSetUpError,
)
from .operations.cautions import caution_about_times
from .operations.operation import Operation
from .operations.validation import checked_again
from .queue.append import Entry
from .queue.async_queue_client import AsyncRedisQueue
from .queue.redis_keys import Lane

P = ParamSpec("P")
_queue: tuple[Producer, AsyncRedisQueue] | None = None


async def enqueue(operation: Operation) -> str:
    """Enqueue an operation and return the id of its job."""
    return (await enqueue_all((operation,)))[0]


async def enqueue_all(batch: Sequence[Operation], *, lane: Lane = "live") -> list[str]:
    """Enqueue operations in one round trip, all or none, and return the ids of their jobs."""
    if batch:
        producer = default_producer()
        if (enqueued := producer.awaitable(batch, lane)) is not None:
            await enqueued
            return [operation.id for operation in batch]
        with producer.span(batch, lane) as span:
            if not await _append(producer, producer.entries(batch), lane):
                span.failed("NotEnqueuedError")
    return [operation.id for operation in batch]


async def enqueue_many(
    operations: Iterable[Operation] | AsyncIterable[Operation],
    *,
    on_invalid: OnInvalid | None = None,
) -> int:
    """Enqueue any number of operations in the bulk lane, and return how many were enqueued.

    See :meth:`trackrelay.Producer.enqueue_many`.
    """
    count, invalid_calls = 0, default_producer().invalid_calls
    if isinstance(operations, AsyncIterable):
        async for chunk in _chunks(_valid(aiter(operations), invalid_calls, on_invalid)):
            with counted(count):
                count += await _enqueue_chunk(chunk)
    else:
        for chunk in chunks(valid(iterator_of(operations), invalid_calls, on_invalid)):
            with counted(count):
                count += await _enqueue_chunk(chunk)
    return count


#: Operations of an asynchronous iterator that are enqueued in one round trip.
ASYNC_CHUNK = 100


@asynccontextmanager
async def pipeline() -> AsyncIterator[Pipeline]:
    """Collect operations, and enqueue them in one round trip when the block ends."""
    collected = Pipeline(default_producer().invalid_calls)
    yield collected
    await enqueue_all(collected.operations)


async def aclose() -> None:
    """Close the idle connections. The next call opens new ones."""
    if _queue is not None:
        await _queue[1].aclose()


async def _valid(
    source: AsyncIterator[Operation], invalid_calls: InvalidCallPolicy, on_invalid: OnInvalid | None
) -> AsyncIterator[Operation]:
    for index in itertools.count():
        try:
            operation = await anext(source)
        except StopAsyncIteration:
            return
        except InvalidOperationError as error:
            for replacement in report(error, index, invalid_calls, on_invalid):
                yield replacement
            check_can_continue(error, index, source)
        else:
            try:
                operation = checked_again(operation)
            except InvalidOperationError as error:
                for replacement in report(error, index, invalid_calls, on_invalid):
                    yield replacement
            else:
                yield operation


async def _chunks(source: AsyncIterator[Operation]) -> AsyncIterator[list[Operation]]:
    chunk: list[Operation] = []
    try:
        async for operation in source:
            chunk.append(operation)
            if len(chunk) == ASYNC_CHUNK:
                yield chunk
                chunk = []
    except GeneratorEndedError:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


async def _enqueue_chunk(chunk: list[Operation]) -> int:
    producer = default_producer()
    if (enqueued := producer.awaitable(chunk, "bulk")) is not None:
        return await enqueued
    with producer.span(chunk, "bulk"):
        return await _append(producer, producer.entries(chunk), "bulk", wait=True)


async def _append(
    producer: Producer, entries: Sequence[Entry], lane: Lane, *, wait: bool = False
) -> int:
    if lane == "live":
        caution_about_times(entries)
    fallback = producer.fallback
    if fallback is not None and await asyncio.to_thread(fallback.must_take, entries):
        await asyncio.to_thread(fallback.write, entries, lane)
        return len(entries)
    while True:
        try:
            await _append_to_backend(producer, entries, lane)
            return len(entries)
        except (NotEnqueuedError, QueueNotSetUpError) as error:
            if not (wait and isinstance(error, QueueFullError)):
                return await asyncio.to_thread(producer.not_enqueued, error, entries, lane)
        await asyncio.sleep(FULL_WAIT_S)


async def _append_to_backend(producer: Producer, entries: Sequence[Entry], lane: Lane) -> None:
    global _queue
    if producer.settings.backend != "redis":
        return producer.backend.append(entries, lane)
    if _queue is None or _queue[0] is not producer:
        if _queue is not None:
            await _queue[1].aclose()
        _queue = (producer, AsyncRedisQueue(producer.settings))
    return await _queue[1].append(entries, lane)


async def _enqueue_instead(
    error: InvalidOperationError,
    build: Callable[..., Any],
    arguments: Sequence[object],
    named: Mapping[str, object],
) -> list[str]:
    policy = default_producer().invalid_calls
    parts = policy.replacements_for_call(error, build, arguments, named)
    await enqueue_all([part for part in parts if isinstance(part, Operation)])
    return [part.id for part in parts]


def _one(build: Callable[P, Operation]) -> Callable[P, Awaitable[str]]:
    async def call(*args: P.args, **kwargs: P.kwargs) -> str:
        default_producer()
        try:
            operation = build(*args, **kwargs)
        except InvalidOperationError as error:
            return (await _enqueue_instead(error, build, args, kwargs))[-1]
        return await enqueue(operation)

    present(call, build, "str", JOB_ID)
    return call


def _many(build: Callable[P, Sequence[Operation]]) -> Callable[P, Awaitable[list[str]]]:
    async def call(*args: P.args, **kwargs: P.kwargs) -> list[str]:
        default_producer()
        try:
            batch = build(*args, **kwargs)
        except InvalidOperationError as error:
            return await _enqueue_instead(error, build, args, kwargs)
        return await enqueue_all(batch)

    present(call, build, "list[str]", JOB_IDS)
    return call


# Written by scripts/bindings.py.
identify = _one(operations.identify)
track = _one(operations.track)
page = _one(operations.page)
screen = _one(operations.screen)
track_anonymous = _one(operations.track_anonymous)
delete_person = _one(operations.delete_person)
suppress = _one(operations.suppress)
unsuppress = _one(operations.unsuppress)
merge = _one(operations.merge)
add_device = _one(operations.add_device)
delete_device = _one(operations.delete_device)
identify_object = _one(operations.identify_object)
delete_object = _one(operations.delete_object)
add_relationships = _one(operations.add_relationships)
delete_relationships = _one(operations.delete_relationships)
add_to_segment = _many(operations.add_to_segment)
remove_from_segment = _many(operations.remove_from_segment)
submit_form = _one(operations.submit_form)
unsubscribe = _one(operations.unsubscribe)
report_metric = _one(operations.report_metric)
entity = _one(operations.entity)

__all__ = [
    "aclose",
    "add_device",
    "add_relationships",
    "add_to_segment",
    "configure",
    "delete_device",
    "delete_object",
    "delete_person",
    "delete_relationships",
    "enqueue",
    "enqueue_many",
    "entity",
    "identify",
    "identify_object",
    "merge",
    "page",
    "pipeline",
    "remove_from_segment",
    "report_metric",
    "screen",
    "submit_form",
    "suppress",
    "track",
    "track_anonymous",
    "unsubscribe",
    "unsuppress",
]
