"""The sandbox's clock, which tests can advance, and durations such as ``1h`` and ``30d``."""

from __future__ import annotations

import re
import time
from datetime import timedelta

_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
#: No rehearsal takes longer, in seconds.
MAX_SPAN_S = 10 * 366 * 86_400.0

Span = str | float | timedelta


class Clock:
    """Real time, plus what it was advanced by."""

    def __init__(self) -> None:
        self._advanced_s = 0.0
        self.started_at = time.time()

    def now(self) -> float:
        """Return the time in unix seconds."""
        return time.time() + self._advanced_s

    def advance(self, span: Span) -> None:
        """Move the clock forward.

        Raises:
            ValueError: The span is not valid.
        """
        self._advanced_s += parse_span(span)


def parse_span(span: object) -> float:
    """Return the seconds of a span: ``90s``, ``10m``, ``1.5h``, ``30d``, a number or a timedelta.

    Raises:
        ValueError: It is no span, negative, or longer than ten years.
    """
    seconds: int | float
    if isinstance(span, timedelta):
        seconds = span.total_seconds()
    elif isinstance(span, int | float) and not isinstance(span, bool):
        seconds = span
    else:
        found = _SPAN.fullmatch(span.strip()) if isinstance(span, str) else None
        if found is None:
            raise ValueError(f"{span!r} is not a duration; write 90s, 10m, 1.5h or 30d")
        seconds = float(found[1]) * _UNITS[found[2] or "s"]
    if not 0 <= seconds <= MAX_SPAN_S:
        raise ValueError(f"the duration is {span!r}; it must be between 0 and ten years")
    return float(seconds)


def span_text(seconds: float) -> str:
    """Return a time since the start as ``1d 02:30:00``; before the start as ``-00:10:00``."""
    minutes, second = divmod(abs(round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    sign = "-" if round(seconds) < 0 else ""
    return f"{sign}{f'{days}d ' if days else ''}{hour:02}:{minute:02}:{second:02}"
