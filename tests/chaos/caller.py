"""Repeats a call until it is accepted, always with the same id, as a careful application does."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from trackrelay.operations.operation import Operation

from .calls import Call, Journal, Told
from .clocks import now
from .job_takers import UNSURE, IntoOutbox, Taker
from .workload import Planned

#: Between two tries.
PAUSE_S = 0.1


class Caller:
    """Calls and writes down.

    Args:
        chance: decides which calls are given up that may be.
        give_up: becomes true when nobody waits for the queue any more.
    """

    def __init__(
        self,
        taker: Taker,
        journal: Journal,
        chance: random.Random,
        give_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._taker = taker
        self._journal = journal
        self._chance = chance
        self._give_up = give_up

    def make(self, planned: Planned) -> Told:
        """Make one call."""
        tries, error = 0, None
        while True:
            began = now()
            tries += 1
            try:
                self._taker.take([planned.operation], planned.lane)
                told: Told = "accepted"
            except UNSURE as caught:
                error = f"{type(caught).__name__}: {caught}"[:200]
                if (
                    not (planned.may_give_up and self._chance.random() < 0.2)
                    and not self._give_up()
                ):
                    time.sleep(PAUSE_S)
                    continue
                told = "raised"
            self._write(planned, told, began, tries, error)
            return told

    def take_back(self, planned: Planned) -> None:
        """Write a job in a transaction that is then rolled back."""
        assert isinstance(self._taker, IntoOutbox)
        try:
            self._taker.roll_back([planned.operation])
        except UNSURE:
            return
        self._write(planned, "rolled back", now(), 1, None)

    def make_together(self, planned: Sequence[Planned]) -> None:
        """Make calls of one lane in one round trip, again until they are taken."""
        began, tries = now(), 0
        while True:
            tries += 1
            try:
                self._taker.take([each.operation for each in planned], planned[0].lane)
                break
            except UNSURE:
                time.sleep(PAUSE_S)
        for each in planned:
            self._write(each, "accepted", began, tries, None)

    def make_all(self, planned: Sequence[Planned]) -> None:
        """Make calls that belong together, in order."""
        for each in planned:
            self.make(each)

    def _write(
        self, planned: Planned, told: Told, began: float, tries: int, error: str | None
    ) -> None:
        ended = now()

        def call(operation: Operation, mark: str) -> Call:
            return Call(
                id=operation.id,
                operation=operation.name,
                keys=operation.keys,
                mark=mark,
                told=told,
                began=began,
                ended=ended,
                lane=planned.lane,
                fate=planned.fate,
                tries=tries,
                error=error,
            )

        operation = planned.operation
        companion = (
            [call(operation.companion, planned.companion_mark)] if operation.companion else []
        )
        self._journal.write([*companion, call(operation, planned.mark)])
