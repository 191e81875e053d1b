"""The OpenTelemetry trace of a call, which the job carries so that its delivery joins the trace."""

from __future__ import annotations

import sys


def current_traceparent() -> str | None:
    """Return the W3C ``traceparent`` of the current span, or None.

    OpenTelemetry is used only if the application has imported it.
    """
    module = sys.modules.get("opentelemetry.trace")
    if module is None:
        return None
    context = module.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
