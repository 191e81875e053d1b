"""The OpenTelemetry trace of a call, which the job carries so that its delivery joins the trace."""

from __future__ import annotations

import sys
from typing import Any

#: The flag of a recorded trace.
SAMPLED = 1


def trace_api() -> Any:
    """Return the module ``opentelemetry.trace`` if the process has imported it, else None.

    Nothing of OpenTelemetry is ever imported here: where nobody imported it, nobody set it up.
    """
    module = sys.modules.get("opentelemetry.trace")
    # Another thread may be importing it just now. This is its last name.
    return module if hasattr(module, "use_span") else None


def current_traceparent() -> str | None:
    """Return the W3C ``traceparent`` of the current span, or None if it is not recorded."""
    api = trace_api()
    if api is None:
        return None
    context = api.get_current_span().get_span_context()
    if not context.is_valid or not context.trace_flags & SAMPLED:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
