"""The trace a call belongs to, if OpenTelemetry is in use: carried along so that the delivery can be tied to the request."""

from __future__ import annotations

import sys


def current_traceparent() -> str | None:
    """The W3C ``traceparent`` of the current span, or None. Never imports OpenTelemetry, only looks whether somebody has."""
    module = sys.modules.get("opentelemetry.trace")
    if module is None:
        return None
    context = module.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
