"""The traces of jobs: the W3C ``traceparent`` that each job carries from its call."""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping
from typing import Any

from trackrelay.calls.trace_context import trace_api

#: Of a call that was recorded: the last bit of the flags is set. Any program may have written it.
_RECORDED = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f][13579bdf])")


def trace_fields(trace: str | None) -> dict[str, str]:
    """Return the field of a log line that names the trace of a job; empty without a trace."""
    match = _RECORDED.fullmatch(trace) if trace else None
    return {"trace_id": match[1]} if match else {}


def recorded_contexts(api: Any, traces: Iterable[str | None]) -> list[Any]:
    """Return the span context of each different trace of recorded calls, in order.

    Args:
        api: the module ``opentelemetry.trace``.
        traces: of jobs. Those of one call have the same.
    """
    make, flags = api.SpanContext, api.TraceFlags
    matches = [_RECORDED.fullmatch(each) for each in dict.fromkeys(traces) if each]
    return [
        make(int(match[1], 16), int(match[2], 16), True, flags(int(match[3], 16)))
        for match in matches
        if match
    ]


def add_current_trace(
    _logger: Any, _method: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Add the current trace and span to a log line that names no trace, for structlog."""
    api = trace_api()
    if api is not None and "trace_id" not in line:
        context = api.get_current_span().get_span_context()
        if context.is_valid:
            line["trace_id"] = f"{context.trace_id:032x}"
            line["span_id"] = f"{context.span_id:016x}"
    return line
