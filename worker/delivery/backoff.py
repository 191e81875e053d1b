"""How long to wait before trying again. Pure."""

from __future__ import annotations

#: A job that fails alone while others succeed: seconds before its first retry, and at the most.
JOB_BASE_S = 2.0
JOB_CAP_S = 600.0


def full_jitter(
    attempt: int, fraction: float, *, base_s: float = JOB_BASE_S, cap_s: float = JOB_CAP_S
) -> float:
    """Exponential backoff with full jitter.

    Args:
        attempt: 1 for the first retry.
        fraction: a random number from 0 to 1.

    Returns:
        seconds, from 0 to ``base_s * 2 ** (attempt - 1)``, never more than ``cap_s``.
    """
    return fraction * min(cap_s, base_s * 2.0 ** min(attempt - 1, 60))
