"""Imported by workers on a host whose clock is days ahead, and jumps by up to an hour."""

from __future__ import annotations

import random

from .clocks import misadjust

DAY_S = 86_400.0

misadjust(4 * DAY_S, 3_600.0, random.Random("ahead"))
