"""Durations as settings have them."""

from __future__ import annotations

import re
from datetime import timedelta

#: A hundred years: beyond it neither Python nor Postgres can count back from now.
LONGEST_S = 36_500 * 86_400
_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds(value: object) -> float:
    """``1s``, ``10m``, ``12h``, ``3d``, a timedelta, or a number of seconds, in seconds.

    Raises:
        ValueError: it is none of them, or longer than a hundred years.
    """
    found = _seconds(value)
    if found is None:
        raise ValueError(f"it must be a duration such as 90s, 10m, 12h or 3d; it is {value!r}")
    if not found <= LONGEST_S:
        raise ValueError(f"it must be at most 36500d; it is {value!r}")
    return found


def _seconds(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and (
        match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", value)
    ):
        return float(match[1]) * _UNITS_S[match[2]]
    return None
