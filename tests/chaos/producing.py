"""One producer process: `python -m tests.chaos.producing '{…}'`.

It makes calls at a rate until its standard input ends.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from .job_takers import Taker

#: When the load is over, calls that still find no queue are given up after so long.
PATIENCE_S = 30.0


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of a producer process."""

    redis_url: str
    journal: str
    seed: int
    #: Its name: people's ids begin with it.
    process: str
    #: Calls a second.
    rate: float
    mix: str = "mixed"
    #: How wrong this host's clock is, in seconds; and how far it jumps, every few seconds, either
    #: way.
    clock_off_s: float = 0.0
    clock_jumps_s: float = 0.0
    max_queue_length: int = 1_000_000
    enqueue_timeout: float = 1.0
    wait_replicas: int = 0
    #: The application's database, if jobs go through an outbox; and whether only those go there
    #: that the queue does not take.
    outbox_url: str = ""
    fallback: bool = False


def main() -> None:
    order = msgspec.json.decode(sys.argv[1], type=Order)
    if order.clock_off_s or order.clock_jumps_s:
        from .clocks import misadjust

        misadjust(
            order.clock_off_s,
            order.clock_jumps_s,
            random.Random(f"{order.seed} {order.process} clock"),
        )
    _produce(order)


def _produce(order: Order) -> None:
    from .caller import Caller
    from .calls import Journal
    from .job_takers import IntoOutbox
    from .workload import Workload

    over = _end_of_input()
    patience = _Patience(over)
    journal = Journal(Path(order.journal))
    chance = random.Random(f"{order.seed} {order.process} patience")
    taker = _taker(order)
    caller = Caller(taker, journal, chance, patience.is_spent)
    workload = Workload(order.seed, order.process, order.mix)
    start, made = time.monotonic(), 0
    while not over.is_set():
        burst = workload.burst()
        caller.make_all(burst)
        if isinstance(taker, IntoOutbox) and chance.random() < 0.03:
            caller.take_back(workload.ghost())
        made += len(burst)
        over.wait(max(0.0, start + made / order.rate - time.monotonic()))
    journal.close()


def _taker(order: Order) -> Taker:
    from trackrelay import Producer

    from .job_takers import IntoOutbox, IntoQueue

    if order.outbox_url and not order.fallback:
        return IntoOutbox(order.outbox_url, order.redis_url)
    more = {"on_unavailable": "outbox", "outbox_url": order.outbox_url} if order.fallback else {}
    return IntoQueue(
        Producer(
            redis_url=order.redis_url,
            source=f"chaos-{order.process}",
            max_queue_length=order.max_queue_length,
            enqueue_timeout=order.enqueue_timeout,
            redis_wait_replicas=order.wait_replicas,
            **more,
        )
    )


class _Patience:
    def __init__(self, over: threading.Event) -> None:
        self._over = over
        self._since: float | None = None

    def is_spent(self) -> bool:
        if not self._over.is_set():
            return False
        self._since = self._since or time.monotonic()
        return time.monotonic() - self._since > PATIENCE_S


def _end_of_input() -> threading.Event:
    over = threading.Event()

    def wait() -> None:
        sys.stdin.buffer.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    return over


if __name__ == "__main__":
    main()
