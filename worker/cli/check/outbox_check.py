"""The application's outbox, where one is named: reached, with its table, and relayed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from trackrelay.errors import TrackRelayError
from trackrelay.worker.cli.common.humanize import count, duration
from trackrelay.worker.cli.common.outbox_reader import NO_RELAY, UNRELAYED_S, Outbox, Waiting

from .finding import Finding
from .postgres_check import QueueLook

AREA = "Outbox"
#: A relay takes rows on within a second: what waits longer than this is held up.
LATE_S = 60


def findings(
    outbox: Outbox, queue: QueueLook, has_relay: Callable[[str], bool]
) -> Iterator[Finding]:
    """Everything about the outbox.

    Args:
        queue: what Redis says of the queue.
        has_relay: says whether somebody holds a relay's lease, or that this is not known.
    """
    try:
        waiting = outbox.waiting(queue.config.generation if queue.config else None)
    except TrackRelayError as error:
        yield Finding(AREA, "reached", "wrong", str(error))
        return
    yield Finding(AREA, "reached", "ok", f"trackrelay_outbox at {outbox.place}")
    yield _relayed(waiting, has_relay(outbox.lease))


def _relayed(waiting: Waiting, has_relay: bool) -> Finding:
    if waiting.oldest is None:
        return Finding(AREA, "relayed", "ok", "no job waits to be relayed")
    age = time.time() - waiting.oldest
    wait = f"{count(waiting.jobs, 'job')} {'waits' if waiting.jobs == 1 else 'wait'} to be relayed"
    if age > UNRELAYED_S and not has_relay:
        return Finding(
            AREA, "relayed", "wrong", f"{wait}, the first for {duration(age)}, and {NO_RELAY}"
        )
    if age <= LATE_S:
        return Finding(AREA, "relayed", "ok", wait)
    text = (
        f"{wait}, the first for {duration(age)}, though a relay runs: its log says what hinders it (look for "
        '"relay interrupted")'
    )
    return Finding(AREA, "relayed", "warning", text)
