"""The application's outbox, where one is named: reached, with its table, and relayed."""

from __future__ import annotations

import time
from collections.abc import Iterator

from producers.errors import TrackRelayError

from ..outbox import Outbox, Waiting
from ..words import count, duration
from .finding import Finding

AREA = "Outbox"
#: A relay takes rows on within a second: what waits longer than this has none.
LATE_S = 60


def findings(outbox: Outbox, generation: str | None) -> Iterator[Finding]:
    """Everything about the outbox.

    Args:
        generation: of the queue in Redis, if that is known.
    """
    try:
        waiting = outbox.waiting(generation)
    except TrackRelayError as error:
        yield Finding(AREA, "reached", "wrong", str(error))
        return
    yield Finding(AREA, "reached", "ok", f"trackrelay_outbox at {outbox.place}")
    yield _relayed(waiting)


def _relayed(waiting: Waiting) -> Finding:
    if waiting.oldest is None:
        return Finding(AREA, "relayed", "ok", "no job waits to be relayed")
    age = time.time() - waiting.oldest
    wait = f"{count(waiting.jobs, 'job')} {'waits' if waiting.jobs == 1 else 'wait'} to be relayed"
    if age <= LATE_S:
        return Finding(AREA, "relayed", "ok", wait)
    text = (
        f"{wait}, the first for {duration(age)}: does a worker run with TRACKRELAY_OUTBOX_URL, or `trackrelay relay`? "
        "Its log says what hinders it"
    )
    return Finding(AREA, "relayed", "warning", text)
