"""The default producer, which the functions of :mod:`trackrelay` use.

It is made at the first call, and again in a forked child.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import tzinfo
from threading import Lock
from typing import Any

from .calls.planned_calls import call_plan_of
from .calls.producer import Producer
from .configuration.producer_settings import Settings, load
from .configuration.server_urls import HiddenUrl
from .configuration.settings_loader import warn_of_unknown_settings
from .errors import TrackRelayError
from .operations import refs, scalars
from .operations.checks.object_types import set_object_types
from .operations.plan_hook import CallPlan, defer_call_plan

#: Settings that may contain a password.
_URLS = frozenset({"redis_url", "outbox_url"})

_lock = Lock()
_overrides: dict[str, Any] = {}
_producer: Producer | None = None
_settings: Settings | None = None
_make: Callable[..., Producer] = Producer


def produce_with(make: Callable[..., Producer]) -> None:
    """Set the function that makes the default producer.

    Args:
        make: called with the settings of :func:`configure`. The producer of a framework waits for
            commits.
    """
    global _make
    _make = make
    configure()


def configure(**settings: Any) -> None:
    """Override settings of the environment, from the next call on.

    Example:
        ``configure(source="shop", on_unavailable="log")``

    Args:
        redis_url: ``redis://``, ``rediss://``, ``unix://`` or ``sentinel://`` URL of the queue.
        backend: ``redis``, ``console``, ``memory`` or ``off``.
        source: the name of this application, which every job carries.
        shards: the number of shards that the queue must have; default: any.
        max_queue_length: the number of jobs in the queue at which calls raise QueueFullError.
        enqueue_timeout: how long a call may take: seconds, ``"1s"`` or a timedelta.
        redis_wait_replicas: how many replicas of Redis must have a call's jobs before it returns.
        on_unavailable: ``raise``, ``log`` or ``outbox``: what happens to an operation that the
            queue did not take.
        on_invalid: ``raise``, ``log`` or ``dead_letter``: what happens to an operation that
            Customer.io would refuse.
        outbox_url: the database with the outbox table, for ``on_unavailable="outbox"``.
        naive_timezone: the time zone of naive datetimes; default: they are refused.
        object_types: the numbers of object types in the workspace by name: ``{"company": 1}``.
        plan: the file of the tracking plan that every call must keep; default: none.
        tracing: whether spans are recorded where OpenTelemetry is set up; default: yes.

    Raises:
        ConfigurationError: not here, but at the first call that enqueues; it names the wrong
            setting.
    """
    global _producer, _settings
    with _lock:
        # Debug pages show the variables of a frame, and so passwords.
        hidden = {
            name: HiddenUrl(value)
            for name, value in settings.items()
            if name in _URLS and isinstance(value, str)
        }
        _overrides.update(settings | hidden)
        _producer = _settings = None
    scalars.set_naive_timezone(_naive_timezone)
    refs.defer_refusals(_raises_nothing)
    set_object_types(_object_types)
    defer_call_plan(_call_plan)


def default_producer() -> Producer:
    """Return the default producer, and make it at the first call."""
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
    """Return the settings of the default producer, for the outbox, which needs no queue."""
    global _settings
    settings = _settings
    if settings is None:
        warn_of_unknown_settings()
        settings = _settings = load(_overrides, needs_queue=False)
    return settings


def overrides() -> dict[str, Any]:
    """Return the settings that :func:`configure` has set."""
    return dict(_overrides)


@contextmanager
def overridden(**settings: Any) -> Iterator[Producer]:
    """Use another default producer inside the block, with some ``settings`` replaced."""
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
        refs.defer_refusals(_raises_nothing)
        set_object_types(_object_types)
        defer_call_plan(_call_plan)


def _naive_timezone() -> tzinfo | None:
    # Builders need it before there is a producer.
    return default_settings().naive_timezone


def _raises_nothing() -> bool:
    # A Person is made before the call that uses it. That call reports a wrong setting.
    try:
        return default_settings().on_invalid != "raise"
    except TrackRelayError:
        return False


def _object_types() -> Mapping[str, str]:
    return default_settings().object_types


def _call_plan() -> CallPlan | None:
    # Builders need it before there is a producer. The call that enqueues reports a wrong setting.
    try:
        settings = load(_overrides, needs_queue=False)
    except TrackRelayError:
        return None
    return call_plan_of(settings)


def _start_afresh() -> None:
    # A forked child must not use the connections of its parent, nor wait for a lock that one of
    # the parent's threads held.
    global _lock, _producer
    _lock = Lock()
    _producer = None


scalars.set_naive_timezone(_naive_timezone)
refs.defer_refusals(_raises_nothing)
set_object_types(_object_types)
defer_call_plan(_call_plan)
os.register_at_fork(after_in_child=_start_afresh)
