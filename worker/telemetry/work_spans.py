"""The OpenTelemetry spans of workers: of requests to Customer.io, and of verification.

A span belongs to the trace of the first job whose call was recorded, and links to the calls of all
its jobs. So it is recorded if one of them was, whatever share of traces the worker itself samples.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Literal, Self

import structlog

from trackrelay.calls.call_spans import SYSTEM, tracer_of
from trackrelay.calls.trace_context import trace_api

from .job_traces import recorded_contexts

log = structlog.get_logger("trackrelay.worker")

#: Links of one span that the SDK keeps, unless OTEL_SPAN_LINK_COUNT_LIMIT says otherwise.
DEFAULT_MAX_LINKS = 128
#: How long a process that ends waits for its spans to be sent.
FLUSH_S = 2.0

#: Values of attributes.
Values = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Work:
    """What a span is about."""

    name: str
    #: ``CLIENT`` if it is a request.
    kind: str
    #: How many jobs.
    size: int
    #: The id of a job that is alone.
    job_id: str
    attributes: Values


class WorkSpan:
    """A span, as a context manager. It records nothing where OpenTelemetry is not set up."""

    __slots__ = ("_api", "_span", "_token")

    def __init__(self, api: Any = None, span: Any = None) -> None:
        self._api, self._span = api, span

    def __enter__(self) -> Self:
        if self._span is not None:
            context = self._api.set_span_in_context(self._span)
            # An instrumentation of HTTP would record the path, which may name a person.
            without = getattr(self._api.context_api, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", None)
            if without is not None:
                context = self._api.context_api.set_value(without, True, context)
            self._token = self._api.context_api.attach(context)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._span is not None:
            self._api.context_api.detach(self._token)
            if kind is not None:
                self.failed(kind.__name__)
            try:
                self._span.end()
            except Exception as why:
                _log_once(why)

    def note(self, of: Literal["jobs", "items"], **counts: int) -> None:
        """Add how many jobs, or items of verification, had which outcome."""
        if self._span is not None:
            for name, count in counts.items():
                self._span.set_attribute(f"trackrelay.{of}.{name}", count)

    def answered(self, status: int | None) -> None:
        """Add the HTTP status."""
        if self._span is not None and status is not None:
            self._span.set_attribute("http.response.status_code", status)

    def failed(self, error_type: str) -> None:
        """Mark the span as failed. The error's message stays out of it."""
        if self._span is not None:
            self._span.set_attribute("error.type", error_type)
            self._span.set_status(self._api.StatusCode.ERROR)


NO_SPAN = WorkSpan()


def work_span(work: Work, traces: Iterable[str | None], *, needs_trace: bool = False) -> WorkSpan:
    """Return a span of some work on jobs.

    Args:
        work: describes it.
        traces: of the jobs.
        needs_trace: whether to record nothing if no job's call was recorded.
    """
    try:
        return _work_span(work, traces, needs_trace)
    except Exception as error:
        # A span processor may raise anything, and delivery must go on.
        _log_once(error)
        return NO_SPAN


def _work_span(work: Work, traces: Iterable[str | None], needs_trace: bool) -> WorkSpan:
    api = trace_api()
    if api is None or (tracer := tracer_of(api)) is None:
        return NO_SPAN
    contexts = recorded_contexts(api, traces)
    if needs_trace and not contexts:
        return NO_SPAN
    own = api.get_current_span().get_span_context()
    parent = None
    if contexts:
        parent = api.set_span_in_context(api.NonRecordingSpan(contexts[0]))
        if own.is_valid:
            # What the worker does is one more context: the task of Celery, for example.
            contexts.append(own)
    most = max_links()
    span = tracer.start_span(
        work.name,
        context=parent,
        kind=api.SpanKind[work.kind],
        links=[api.Link(each) for each in contexts[:most]],
    )
    if not span.is_recording():
        return NO_SPAN
    span.set_attributes(_attributes(work))
    for start in range(most, len(contexts), most):
        # The SDK would drop more links than this, and a batch has up to a thousand.
        tracer.start_span(
            f"{work.name}: further jobs",
            context=api.set_span_in_context(span),
            links=[api.Link(each) for each in contexts[start : start + most]],
        ).end()
    return WorkSpan(api, span)


def _log_once(error: Exception) -> None:
    _log_kind(type(error).__name__)


@lru_cache(maxsize=16)
def _log_kind(name: str) -> None:
    log.warning("span_not_recorded", error=name)


def _attributes(work: Work) -> Values:
    number: Values = (
        {"messaging.message.id": work.job_id}
        if work.size == 1
        else {"messaging.batch.message_count": work.size}
    )
    return {"messaging.system": SYSTEM, **number, **work.attributes}


def max_links() -> int:
    """Return how many links the SDK keeps of a span."""
    try:
        return max(1, int(os.environ.get("OTEL_SPAN_LINK_COUNT_LIMIT", "")))
    except ValueError:
        return DEFAULT_MAX_LINKS


def flush_spans() -> None:
    """Send the spans that wait, because the process ends. Wait for two seconds at most."""
    api = trace_api()
    flush = getattr(api and api.get_tracer_provider(), "force_flush", None)
    if flush is None:
        return
    # The SDK ignores its own limit, and tries for ten seconds to reach a collector that is away.
    thread = threading.Thread(target=flush, name="trackrelay-flush", daemon=True)
    thread.start()
    thread.join(FLUSH_S)
