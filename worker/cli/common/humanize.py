"""Numbers and times as people say them."""

from __future__ import annotations

#: The largest number that an option takes: what fits in a column, and says "all of them".
MOST = 2**31 - 1

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def duration(seconds: float) -> str:
    """``350 ms``, ``42 s``, ``7 min``, ``3 h 20 min``, ``12 d 4 h``: two units at most, never more precise than it helps."""
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
    """``7 min ago``, ``just now``."""
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"


def count(number: float, noun: str, plural: str | None = None) -> str:
    """``1 job``, ``1,240 jobs``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size(count_bytes: float) -> str:
    """``512 B``, ``14 MiB``, ``1.2 GiB``."""
    value = float(count_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def listed(items: list[str], conjunction: str = "and") -> str:
    """``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {conjunction} {items[-1]}"
