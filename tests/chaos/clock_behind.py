"""Imported by workers on a host whose clock is hours behind, and jumps by up to an hour."""

from __future__ import annotations

import random

from .clocks import misadjust

misadjust(-8 * 3_600.0, 3_600.0, random.Random("behind"))
