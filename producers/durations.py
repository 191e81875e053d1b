"""Durations as settings have them."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds(value: object) -> float:
    """``1s``, ``10m``, ``12h``, ``3d``, a timedelta, or a number of seconds, in seconds.

    Raises:
        ValueError: it is none of them.
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", value)):
        return float(match[1]) * _UNITS_S[match[2]]
    raise ValueError(f"it must be a duration such as 90s, 10m, 12h or 3d; it is {value!r}")
