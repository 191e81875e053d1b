"""The producer behind the module-level functions: made at the first call, made again in a forked child."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import tzinfo
from threading import Lock
from typing import Any

from .calls.producer import Producer
from .configuration.environment import warn_of_unknown_settings
from .configuration.producer_settings import Settings, load
from .configuration.server_urls import HiddenUrl
from .errors import TrackRelayError
from .operations import refs, scalars
from .operations.checks.object_types import set_object_types

#: Settings whose values may hold a password.
_URLS = frozenset({"redis_url", "outbox_url"})

_lock = Lock()
_overrides: dict[str, Any] = {}
_producer: Producer | None = None
_settings: Settings | None = None
_make: Callable[..., Producer] = Producer


def produce_with(make: Callable[..., Producer]) -> None:
    """Let ``make``, called with what :func:`configure` was told, make the producer: a framework's waits for its commits."""
    global _make
    _make = make
    configure()


def configure(**settings: Any) -> None:
    """Set what the environment does not say, or says differently; takes effect at the next call.

    Args:
        redis_url: ``redis://``, ``rediss://`` or ``unix://`` URL of the queue.
        backend: ``redis``, ``console``, ``memory`` or ``off``.
        source: which application this is; shown with every job.
        shards: how many shards the queue must have; left out, what it has.
        max_queue_length: jobs in the queue at which callers get QueueFullError.
        enqueue_timeout: seconds an enqueue may take in all; also ``"1s"`` or a timedelta.
        on_unavailable: ``raise``, ``log`` or ``outbox``: what becomes of an operation the queue did not take.
        on_invalid: ``raise``, ``log`` or ``dead_letter``: what becomes of an operation that Customer.io would refuse.
        outbox_url: the database that holds the outbox table, for ``outbox``.
        naive_timezone: what a naive datetime is taken for; left out, it is refused.
        object_types: names of object types with their numbers in the workspace, e.g. ``{"company": 1}``.

    Raises:
        ConfigurationError: at the first call that enqueues, naming the setting that is wrong.
    """
    global _producer, _settings
    with _lock:
        # A debug page shows the variables of each frame on the way to the error that names a wrong one.
        hidden = {
            name: HiddenUrl(value)
            for name, value in settings.items()
            if name in _URLS and isinstance(value, str)
        }
        _overrides.update(settings | hidden)
        _producer = _settings = None
    scalars.set_naive_timezone(_naive_timezone)
    refs.let_refusals_wait(_raises_nothing)
    set_object_types(_object_types)


def default_producer() -> Producer:
    """The producer that the module-level functions use."""
    global _producer
    producer = _producer
    if producer is None:
        with _lock:
            if _producer is None:
                warn_of_unknown_settings()
                _producer = _make(**_overrides)
            producer = _producer
    return producer


def default_settings() -> Settings:
    """The settings of the module-level functions, for what works without a queue: the outbox."""
    global _settings
    settings = _settings
    if settings is None:
        warn_of_unknown_settings()
        settings = _settings = load(_overrides, needs_queue=False)
    return settings


def overrides() -> dict[str, Any]:
    """What :func:`configure` was told."""
    return dict(_overrides)


@contextmanager
def overridden(**settings: Any) -> Iterator[Producer]:
    """Inside, the module-level functions use another producer, configured with ``settings`` on top; afterwards the one
    before again."""
    global _producer, _settings
    before, kept = dict(_overrides), (_producer, _settings)
    try:
        configure(**settings)
        yield default_producer()
    finally:
        with _lock:
            _overrides.clear()
            _overrides.update(before)
            _producer, _settings = kept
        scalars.set_naive_timezone(_naive_timezone)
        refs.let_refusals_wait(_raises_nothing)
        set_object_types(_object_types)


def _naive_timezone() -> tzinfo | None:
    # Operations are made, and files looked through, before anything is enqueued.
    return default_settings().naive_timezone


def _raises_nothing() -> bool:
    # A person is made before anything is enqueued. A setting that is wrong is said at the call.
    try:
        return default_settings().on_invalid != "raise"
    except TrackRelayError:
        return False


def _object_types() -> Mapping[str, str]:
    return default_settings().object_types


def _start_afresh() -> None:
    # A forked child must not speak on its parent's connections, nor wait for a lock that a thread of the parent held.
    global _lock, _producer
    _lock = Lock()
    _producer = None


scalars.set_naive_timezone(_naive_timezone)
refs.let_refusals_wait(_raises_nothing)
set_object_types(_object_types)
os.register_at_fork(after_in_child=_start_afresh)
