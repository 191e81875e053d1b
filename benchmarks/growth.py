"""Growth: a long history, a large backlog, more people, a million jobs, pruning, a dump."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from trackrelay.worker.maintenance.retention import prune_ledger

from .end_to_end import CONCURRENCY, POOL, end_to_end, feed_and_wait
from .measured import Throughput
from .mixes import event_attributes
from .one_key import one_key
from .stack import Meter, Stack
from .stored_rows import fill_backlog, fill_ledger

Note = Callable[[str, float], None]


@dataclass(frozen=True)
class Sizes:
    """The sizes of a run."""

    jobs: int
    ledger: tuple[int, ...]
    backlog: int
    memory_jobs: int
    prunable: int
    one_key: int


FULL = Sizes(
    jobs=100_000,
    ledger=(1_000_000, 10_000_000),
    backlog=1_000_000,
    memory_jobs=1_000_000,
    prunable=1_000_000,
    one_key=5_000,
)
QUICK = Sizes(
    jobs=30_000,
    ledger=(1_000_000,),
    backlog=30_000,
    memory_jobs=60_000,
    prunable=100_000,
    one_key=1_000,
)


def growth(stack: Stack, sizes: Sizes, repeat: int, note: Note) -> dict[str, Any]:
    """Measure jobs per second in each situation: the median of ``repeat`` runs."""
    found: dict[str, Any] = {"sizes": msgspec.to_builtins(sizes)}

    def measured(name: str, run: Callable[[], Throughput]) -> None:
        rates = sorted(run().delivered_per_s for _ in range(repeat))
        found[name] = {"delivered_per_s": rates[len(rates) // 2], "runs": rates}
        note(name, found[name]["delivered_per_s"])

    measured("empty", lambda: end_to_end(stack, "events", sizes.jobs))
    for rows in sizes.ledger:
        stack.fresh()
        fill_ledger(stack.engine, rows)
        measured(f"ledger_{rows}", lambda: _on_what_is_there(stack, sizes.jobs))
    measured("ten_times_the_people", lambda: end_to_end(stack, "events, 10x people", sizes.jobs))
    measured("pruning", lambda: _while_pruning(stack, sizes))
    drains: dict[str, Callable[[], dict[str, Any]]] = {
        "backlog": lambda: _drain(stack, sizes.backlog),
        "backlog_beside_fresh": lambda: _drain(stack, sizes.backlog, fresh=sizes.jobs),
        "backlog_under_a_snapshot": lambda: _drain(stack, sizes.backlog, snapshot=True),
    }
    for name, drain in drains.items():
        # One run is long enough.
        found[name] = drain()
        note(name, found[name]["delivered_per_s"])
    for name, mixed in {"one_key": False, "one_key_mixed": True}.items():
        found[name] = one_key(stack, sizes.one_key, mixed=mixed)
        note(name, found[name]["delivered_per_s"])
    found["memory"] = _memory(stack, sizes.memory_jobs)
    note("memory, MB", found["memory"]["end_mb"])
    return found


def _on_what_is_there(stack: Stack, jobs: int) -> Throughput:
    stack.set_up_redis_anew()
    with stack.workers(1, pool=POOL, concurrency=CONCURRENCY) as pids:
        return feed_and_wait(stack, "events", jobs, pids, "trackrelay")


def _while_pruning(stack: Stack, sizes: Sizes) -> Throughput:
    stack.fresh()
    fill_ledger(stack.engine, sizes.prunable, days=300)
    retention = timedelta(days=30)
    engine = sa.create_engine(stack.engine.url)
    ended = threading.Event()

    def prune() -> None:
        prune_ledger(engine, retention, retention)
        ended.set()

    with stack.workers(1, pool=POOL, concurrency=CONCURRENCY) as pids:
        thread = threading.Thread(target=prune)
        stack.set_up_redis_anew()
        before = stack.ledger_count()
        thread.start()
        run = feed_and_wait(stack, "events", sizes.jobs, pids, "trackrelay", ledger_grows=False)
        thread.join()
    engine.dispose()
    assert stack.ledger_count() < before
    return run


def _drain(stack: Stack, rows: int, *, fresh: int = 0, snapshot: bool = False) -> dict[str, Any]:
    """Measure jobs per second until backlog and streams are empty, and the workers' memory."""
    stack.fresh()
    data = msgspec.json.encode(event_attributes(1)).decode()
    fill_backlog(stack.engine, rows, data, shards=stack.shards, lane="bulk")
    with (
        _old_snapshot(stack) if snapshot else nullcontext(),
        stack.workers(1, pool=POOL, concurrency=CONCURRENCY) as pids,
        stack.process("feed", ["benchmarks.feed", "events, others", str(max(1, fresh))]),
    ):
        workers, memory = Meter(pids), []
        wanted, deadline = rows + max(1, fresh), time.monotonic() + 120 + rows / 200
        began = time.monotonic()
        while (arrived := stack.effects_count()) < wanted:
            if not arrived:
                began = time.monotonic()
            memory.append((arrived, workers.look()))
            if time.monotonic() > deadline:
                raise TimeoutError(f"{arrived:,} of {wanted:,} arrived out of a backlog")
            time.sleep(0.1)
        elapsed = time.monotonic() - began
    return {
        "delivered_per_s": round(wanted / elapsed, 1),
        "backlog": rows,
        "fresh": fresh,
    } | _memory_of(memory, wanted)


@contextmanager
def _old_snapshot(stack: Stack) -> Iterator[None]:
    # As during a dump: vacuum can remove no row that dies from now on.
    engine = sa.create_engine(stack.engine.url, isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT count(*) FROM trackrelay_shards"))
        yield
    engine.dispose()


def _memory(stack: Stack, jobs: int) -> dict[str, Any]:
    stack.fresh()
    memory: list[tuple[int, float]] = []
    with stack.workers(1, pool=POOL, concurrency=CONCURRENCY) as pids:
        run = feed_and_wait(
            stack,
            "events",
            jobs,
            pids,
            "trackrelay",
            watch=lambda arrived, mb: memory.append((arrived, mb)),
        )
    return {"jobs": jobs, "delivered_per_s": run.delivered_per_s} | _memory_of(memory, jobs)


def _memory_of(memory: list[tuple[int, float]], wanted: int) -> dict[str, float]:
    """The workers' resident memory after a fifth of the jobs, and at the end."""
    warm = next((mb for arrived, mb in memory if arrived >= wanted / 5), memory[-1][1])
    return {
        "warm_mb": round(warm, 1),
        "end_mb": round(memory[-1][1], 1),
        "peak_mb": round(max(mb for _, mb in memory), 1),
    }
