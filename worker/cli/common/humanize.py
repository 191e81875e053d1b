"""Numbers and times in words."""

from __future__ import annotations

import time
from datetime import UTC, datetime

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def duration(seconds: float) -> str:
    """Return ``350 ms``, ``42 s``, ``7 min``, ``3 h 20 min``: two units at most."""
    if seconds < 0:
        seconds = 0.0
    if 0 < seconds < 1:
        return f"{round(seconds * 1000)} ms"
    whole = round(seconds)
    for index, (unit, size) in enumerate(_UNITS):
        if whole >= size:
            following = (*_UNITS, ("s", 1))[index + 1]
            rest = whole % size // following[1]
            # Seconds matter only in the first minutes.
            if following[0] == "s" and whole >= 600:
                rest = 0
            return f"{whole // size} {unit}" + (f" {rest} {following[0]}" if rest else "")
    return f"{whole} s"


def ago(seconds: float) -> str:
    """Return ``7 min ago`` or ``just now``."""
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"


def clock(unix_s: float) -> str:
    """Return ``2026-01-31 12:00:05 UTC``."""
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S} UTC"


def clock_and_age(unix_s: float, now: float | None = None) -> str:
    """Return ``2026-01-31 12:00:05 UTC (3 min ago)``."""
    return f"{clock(unix_s)} ({ago((time.time() if now is None else now) - unix_s)})"


def count(number: float, noun: str, plural: str | None = None) -> str:
    """Return ``1 job``, ``1,240 jobs``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def share(number: float) -> str:
    """Return ``100 %``, ``99.9 %``, ``0.02 %``: never 0 % or 100 % for what is only near."""
    percent = 100 * number
    for digits in (0, 1, 2):
        text = f"{percent:.{digits}f}"
        if float(text) == percent or (digits == 0 and 5 <= percent <= 95):
            return f"{text}\N{NO-BREAK SPACE}%"
    if percent > 50:
        return f"{min(float(text), 99.99):.2f}\N{NO-BREAK SPACE}%"
    return f"{max(float(text), 0.01):.2f}\N{NO-BREAK SPACE}%"


def jobs_wait(number: int) -> str:
    """Return ``1 job waits``, ``2 jobs wait``."""
    return f"{count(number, 'job')} {'waits' if number == 1 else 'wait'}"


def size(count_bytes: float) -> str:
    """Return ``512 B``, ``14 MiB``, ``1.2 GiB``."""
    value = float(count_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def listed(items: list[str], conjunction: str = "and") -> str:
    """Return ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {conjunction} {items[-1]}"


def short(text: str, limit: int) -> str:
    """Return ``text``, cut to ``limit`` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def sentence(text: str) -> str:
    """Return ``text`` as a sentence: a capital letter first, a full stop at the end."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."
