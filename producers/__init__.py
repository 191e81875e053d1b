"""Tell Customer.io about people and events without making the web request wait, fail or lose anything for it.

Every function checks its arguments, enqueues one job to Redis and returns the job's id. They raise
:class:`InvalidOperationError` for what Customer.io would refuse, and :class:`QueueUnavailableError` or :class:`QueueFullError` when the
queue did not take it. Nothing connects before the first call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import ParamSpec

if __name__ == "producers":
    # In a clone, `from producers import track` imports the folder by its own name.
    from .folder_names import use_package

    use_package(__name__)

from . import operations
from .calls.producer import OnInvalid, Pipeline, Producer
from .default import configure, default_producer
from .errors import (
    ConfigurationError,
    InvalidOperation,
    InvalidOperationError,
    QueueFull,
    QueueFullError,
    QueueUnavailable,
    QueueUnavailableError,
    TrackRelayError,
)
from .operations.operation import Operation
from .operations.refs import ObjectRef, Person
from .version import __version__

P = ParamSpec("P")


def _enqueues(make: Callable[P, Operation]) -> Callable[P, str]:
    @functools.wraps(make)
    def call(*args: P.args, **kwargs: P.kwargs) -> str:
        producer = default_producer()
        try:
            operation = make(*args, **kwargs)
        except InvalidOperationError as error:
            return producer._submit_instead(error, make, args, kwargs)[-1]
        return producer.enqueue(operation)

    return call


def _enqueues_each(make: Callable[P, Sequence[Operation]]) -> Callable[P, list[str]]:
    @functools.wraps(make)
    def call(*args: P.args, **kwargs: P.kwargs) -> list[str]:
        producer = default_producer()
        try:
            batch = make(*args, **kwargs)
        except InvalidOperationError as error:
            return producer._submit_instead(error, make, args, kwargs)
        return producer.enqueue_all(batch)

    return call


def enqueue(operation: Operation) -> str:
    """Enqueue an operation made by :mod:`trackrelay.operations`, or taken from an error, and return its job's id."""
    return default_producer().enqueue(operation)


def enqueue_many(operations: Iterable[Operation], *, on_invalid: OnInvalid | None = None) -> int:
    """Enqueue any number of operations in the bulk lane, behind which live calls never queue; see :meth:`Producer.enqueue_many`."""
    return default_producer().enqueue_many(operations, on_invalid=on_invalid)


def pipeline() -> AbstractContextManager[Pipeline]:
    """Several operations in one round trip, all or none: ``with pipeline() as p: p.identify(…); p.track(…)``."""
    return default_producer().pipeline()


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

__all__ = [
    "ConfigurationError",
    "InvalidOperation",
    "InvalidOperationError",
    "ObjectRef",
    "Operation",
    "Person",
    "Pipeline",
    "Producer",
    "QueueFull",
    "QueueFullError",
    "QueueUnavailable",
    "QueueUnavailableError",
    "TrackRelayError",
    "__version__",
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
    "operations",
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
