"""The OpenTelemetry span of a call."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Self

from trackrelay.operations.operation import Operation
from trackrelay.queue.redis_keys import Lane
from trackrelay.version import __version__

from .trace_context import SAMPLED, trace_api

log = logging.getLogger("trackrelay")

SYSTEM = "trackrelay"

_tracer_of_provider: tuple[Any, Any] = (None, None)


class NoSpan:
    """Stands in where nothing is recorded."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        return None

    def failed(self, error_type: str) -> None:
        """Do nothing."""


class CallSpan(NoSpan):
    """Makes a span the current one, and ends it."""

    __slots__ = ("_api", "_span", "_token")

    def __init__(self, api: Any, span: Any) -> None:
        self._api, self._span = api, span

    def __enter__(self) -> Self:
        context = self._api.context_api
        self._token = context.attach(self._api.set_span_in_context(self._span))
        return self

    def __exit__(self, *error: Any) -> None:
        self._api.context_api.detach(self._token)
        try:
            if error[0] is not None:
                self.failed(error[0].__name__)
            self._span.end()
        except Exception:
            _warn_once()

    def failed(self, error_type: str) -> None:
        """Mark the span as failed. The error's message stays out of it."""
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(self._api.StatusCode.ERROR)


NO_SPAN = NoSpan()


def call_span(batch: Sequence[Operation], lane: Lane) -> NoSpan:
    """Return the span of a call that enqueues ``batch``, as a context manager.

    It has no payload and names no person. No call fails because of it: a span processor of the
    application may raise anything.
    """
    try:
        return _call_span(batch, lane)
    except Exception:
        _warn_once()
        return NO_SPAN


def _call_span(batch: Sequence[Operation], lane: Lane) -> NoSpan:
    api = trace_api()
    if api is None or (tracer := tracer_of(api)) is None:
        return NO_SPAN
    parent = api.get_current_span().get_span_context()
    if parent.is_valid and not parent.trace_flags & SAMPLED:
        # Sampling follows the request. Asking the SDK would take longer than all the rest.
        return NO_SPAN
    if not batch or not isinstance(batch[0], Operation):
        return NO_SPAN  # nothing is enqueued
    is_one = len(batch) == 1
    span = tracer.start_span(
        f"enqueue {batch[0].name}" if is_one else "enqueue batch", kind=api.SpanKind.PRODUCER
    )
    if not span.is_recording():
        return NO_SPAN
    attributes: dict[str, str | int] = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": "enqueue",
        "messaging.operation.type": "send",
        "messaging.destination.name": lane,
    }
    if is_one:
        attributes["messaging.message.id"] = batch[0].id
        attributes["messaging.message.body.size"] = len(batch[0].body)
    else:
        attributes["messaging.batch.message_count"] = len(batch)
    span.set_attributes(attributes)
    return CallSpan(api, span)


@lru_cache(maxsize=1)
def _warn_once() -> None:
    log.warning(
        "trackrelay: a span could not be recorded, and nothing else is wrong", exc_info=True
    )


def tracer_of(api: Any) -> Any:
    """Return our tracer; None if no SDK is set up.

    Args:
        api: the module ``opentelemetry.trace``.
    """
    global _tracer_of_provider
    provider, tracer = _tracer_of_provider
    current = api.get_tracer_provider()
    if provider is not current:
        is_set_up = not isinstance(current, api.ProxyTracerProvider)
        tracer = current.get_tracer(SYSTEM, __version__) if is_set_up else None
        _tracer_of_provider = current, tracer
    return tracer
