"""A host whose clock is wrong: `time.time()` in this process is shifted, and jumps."""

from __future__ import annotations

import random
import time

#: How often a jumping clock jumps.
EVERY_S = 2.0

#: The machine's own clock, whatever this process is made to believe.
now = time.time


def misadjust(off_s: float, jumps_s: float, chance: random.Random) -> None:
    """Shift this process's clock by ``off_s``, and every two seconds by at most ``jumps_s``."""
    right_ns, steady = time.time_ns, time.monotonic
    jumps: dict[int, float] = {}

    def wrong_ns() -> int:
        beat = int(steady() / EVERY_S)
        if beat not in jumps:
            jumps[beat] = chance.uniform(-jumps_s, jumps_s)
        return right_ns() + int((off_s + jumps[beat]) * 1e9)

    time.time_ns = wrong_ns
    time.time = lambda: wrong_ns() / 1e9
