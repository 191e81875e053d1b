"""Cautions: log lines about what Customer.io accepts but the caller hardly means.

A process logs each caution once for each name, without a value. The number of names is bounded,
because an application with generated names would fill its log.
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

#: Names that one caution is logged for.
MAX_NAMES = 100
#: Track API: an older event triggers no campaign.
CAMPAIGN_WINDOW_S = 72 * 3_600
#: The clocks of two machines differ by less.
CLOCK_TOLERANCE_S = 300


class Caution(StrEnum):
    """A message about a name."""

    #: An attribute with the name of a phone number, whose value is none.
    PHONE = (
        "attribute %r is no phone number in E.164, such as +14155552671: Customer.io cannot send "
        "to it"
    )
    #: An attribute with the name of a time, whose value is none.
    TIME = "attribute %r is named like a time, but is before 1990 or after 2099 in unix seconds"
    OLD_EVENT = "event %r happened more than 72 hours ago: it triggers no campaign"
    FUTURE_EVENT = "event %r has a timestamp in the future"


class _Named(msgspec.Struct):
    name: str = ""


_logged: dict[Caution, set[str]] = {caution: set() for caution in Caution}


def caution_about(caution: Caution, name: str) -> None:
    """Log ``caution`` about ``name``, unless that has happened before."""
    names = _logged[caution]
    if name in names or len(names) >= MAX_NAMES:
        return
    names.add(name)
    last = "; further names are not reported" if len(names) == MAX_NAMES else ""
    log.warning(
        f"trackrelay: {caution} (written once for each name%s)",
        name[: limits.ATTRIBUTE_NAME_BYTES],
        last,
    )


def caution_about_times(entries: Iterable[Entry]) -> None:
    """Log live events whose own timestamps are too old or in the future."""
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
    """Forget which names were logged, for tests."""
    for names in _logged.values():
        names.clear()
