"""Send people and events to Customer.io without making the web request wait or fail.

Each function checks its arguments, enqueues a job in Redis and returns the job's id. A worker
delivers the job. Nothing connects before the first call::

    from trackrelay import identify, track

    identify("42", {"email": "ada@example.com", "plan": "pro"})
    track("42", "order_completed", {"order_id": "A-1", "total": 42.5})

The functions raise :class:`InvalidOperationError` for what Customer.io would refuse, and
:class:`QueueUnavailableError` or :class:`QueueFullError` if the queue did not take the job.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Concatenate, ParamSpec, TypeVar

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
R = TypeVar("R")


def _default(method: Callable[Concatenate[Producer, P], R]) -> Callable[P, R]:
    """Return a method of :class:`Producer` as a function that uses the default producer."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return method(default_producer(), *args, **kwargs)

    signature = inspect.signature(method)
    call.__module__ = __name__
    own = [each for each in signature.parameters.values() if each.name != "self"]
    call.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
    return call


def enqueue(operation: Operation) -> str:
    """Enqueue an operation.

    Args:
        operation: made by a function of :mod:`trackrelay.operations`, or taken from an error.

    Returns:
        The id of the job. The same operation enqueued again is delivered once.

    Raises:
        QueueUnavailableError: the queue did not confirm it.
        QueueFullError: the queue has no room.
    """
    return default_producer().enqueue(operation)


def enqueue_many(operations: Iterable[Operation], *, on_invalid: OnInvalid | None = None) -> int:
    """Enqueue any number of operations in the bulk lane, which never delays live jobs.

    Return how many were enqueued; see :meth:`Producer.enqueue_many`.
    """
    return default_producer().enqueue_many(operations, on_invalid=on_invalid)


def pipeline() -> AbstractContextManager[Pipeline]:
    """Return a context that enqueues several operations in one round trip, all or none.

    Example:
        ``with pipeline() as p: p.identify(…); p.track(…)``
    """
    return default_producer().pipeline()


# Written by scripts/bindings.py.
identify = _default(Producer.identify)
track = _default(Producer.track)
page = _default(Producer.page)
screen = _default(Producer.screen)
track_anonymous = _default(Producer.track_anonymous)
delete_person = _default(Producer.delete_person)
suppress = _default(Producer.suppress)
unsuppress = _default(Producer.unsuppress)
merge = _default(Producer.merge)
add_device = _default(Producer.add_device)
delete_device = _default(Producer.delete_device)
identify_object = _default(Producer.identify_object)
delete_object = _default(Producer.delete_object)
add_relationships = _default(Producer.add_relationships)
delete_relationships = _default(Producer.delete_relationships)
add_to_segment = _default(Producer.add_to_segment)
remove_from_segment = _default(Producer.remove_from_segment)
submit_form = _default(Producer.submit_form)
unsubscribe = _default(Producer.unsubscribe)
report_metric = _default(Producer.report_metric)
entity = _default(Producer.entity)

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


def __dir__() -> list[str]:
    """Return the public names alone, for tab completion."""
    return __all__
