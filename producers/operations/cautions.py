"""Cautions: lines of the log about what Customer.io takes and most likely nobody means.

Each is written once in a process for each name, without any value. The number of names is bounded: an application that
makes them up would fill its log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from . import limits
from .operation import EVENT_ACTIONS

if TYPE_CHECKING:
    from trackrelay.queue.append import Entry

    from .operation import Operation

log = logging.getLogger("trackrelay")

#: Names of one kind that are written about.
MAX_NAMES = 100
#: Track API: an event that is older triggers no campaign.
CAMPAIGN_WINDOW_S = 72 * 3_600
#: Clocks of two machines differ by less.
CLOCK_TOLERANCE_S = 300


class Caution(StrEnum):
    """What is written about a name."""

    #: An attribute that is named like a phone number's, and is none.
    PHONE = "attribute %r is no phone number in E.164, such as +14155552671: Customer.io cannot send to it"
    #: An attribute that is named like a time's, and is none.
    TIME = "attribute %r is named like a time, but is before 1990 or after 2099 in unix seconds"
    OLD_EVENT = "event %r happened more than 72 hours ago: it triggers no campaign"
    FUTURE_EVENT = "event %r has a timestamp in the future"


class _Named(msgspec.Struct):
    name: str = ""


_said: dict[Caution, set[str]] = {caution: set() for caution in Caution}


def caution_about(caution: Caution, name: str) -> None:
    """Write ``caution`` about ``name``, unless that was done before."""
    names = _said[caution]
    if name in names or len(names) >= MAX_NAMES:
        return
    names.add(name)
    last = "; of other names nothing more is written" if len(names) == MAX_NAMES else ""
    log.warning(
        f"trackrelay: {caution} (written once for each name%s)",
        name[: limits.ATTRIBUTE_NAME_BYTES],
        last,
    )


def caution_about_times(entries: Iterable[Entry]) -> None:
    """Write about live events whose own timestamps are too old or in the future."""
    now = time.time()
    for entry in entries:
        when = entry.operation.timestamp
        if when is not None and not now - CAMPAIGN_WINDOW_S <= when <= now + CLOCK_TOLERANCE_S:
            _caution_about_time(
                entry.operation, Caution.OLD_EVENT if when < now else Caution.FUTURE_EVENT
            )


def _caution_about_time(operation: Operation, caution: Caution) -> None:
    if operation.action in EVENT_ACTIONS:
        caution_about(caution, msgspec.json.decode(operation.body, type=_Named).name)


def forget() -> None:
    """Forget what was written about: for tests."""
    for names in _said.values():
        names.clear()
