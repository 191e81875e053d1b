"""``python -m benchmarks.capacity``: the CPU time and the bytes of one live job in each part.

The simulation of larger installations (``python -m benchmarks.scale_simulation``) calculates with
these figures. CPU time is that of the operating system: of Redis by ``INFO cpu``, of PostgreSQL
and the workers by ``/proc`` of all their processes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from .machine import heading
from .stack import Meter, Stack, wait_for

RESULTS = Path(__file__).with_name("capacity.json")
#: Jobs of a cycle with enough waiting jobs.
FULL_BATCH = 1_000
SHARDS = 4


@dataclass(frozen=True, kw_only=True)
class Used:
    """What some work took: CPU seconds of each part, and bytes."""

    seconds: float
    jobs: int
    #: Requests to the sandbox: one for each cycle.
    cycles: int
    producer_s: float
    redis_s: float
    worker_s: float
    postgres_s: float
    wal_bytes: int
    #: How much more memory Redis uses afterwards.
    redis_bytes: int
    redis_net_bytes: int

    def per_job_us(self, part: str) -> float:
        """Return the microseconds of CPU time of one job in a part."""
        return float(getattr(self, f"{part}_s")) * 1e6 / max(1, self.jobs)


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What the simulation needs. CPU in microseconds: for each job, and for each cycle besides."""

    producer_job: float
    append_job: float
    #: By ``enqueue_many()``.
    append_of_many: float
    redis_job: float
    redis_cycle: float
    worker_job: float
    worker_cycle: float
    postgres_job: float
    postgres_cycle: float
    wal_job: float
    wal_cycle: float
    #: Of a job that cannot be delivered: into the backlog, and out of it.
    defer_worker_job: float
    defer_postgres_job: float
    defer_wal_job: float
    undefer_worker_job: float
    undefer_postgres_job: float
    undefer_wal_job: float
    #: Bytes of a waiting job in Redis, and of a delivered job's row with its indexes.
    stream_job_bytes: float
    ledger_row_bytes: float
    backlog_row_bytes: float
    #: Share of a core that is used while nothing happens.
    idle_redis: float
    idle_worker: float
    idle_postgres: float


class _Measurement:
    """Measures everything between its creation and :meth:`used`."""

    def __init__(self, stack: Stack, pids: list[int]) -> None:
        self._stack = stack
        self._worker = Meter(pids)
        self._postgres = Meter([stack.postgres.pid or 0])
        self._before = self._now()
        self._began = time.perf_counter()

    def used(self, jobs: int, producer_s: float = 0.0) -> Used:
        seconds = time.perf_counter() - self._began
        worker, postgres = self._worker.stop().cpu_s, self._postgres.stop().cpu_s
        now = self._now()
        grown = {name: now[name] - self._before[name] for name in now}
        return Used(
            seconds=round(seconds, 3),
            jobs=jobs,
            cycles=int(grown["requests"]),
            producer_s=producer_s,
            redis_s=round(grown["redis_cpu"], 4),
            worker_s=round(worker, 4),
            postgres_s=round(postgres, 4),
            wal_bytes=int(grown["wal"]),
            redis_bytes=int(grown["memory"]),
            redis_net_bytes=int(grown["net"]),
        )

    def _now(self) -> dict[str, float]:
        stack = self._stack
        info: Any = stack.redis.info()
        with stack.engine.connect() as connection:
            wal = connection.execute(
                sa.text("SELECT pg_current_wal_insert_lsn() - CAST('0/0' AS pg_lsn)")
            ).scalar_one()
        return {
            "redis_cpu": info["used_cpu_user"] + info["used_cpu_sys"],
            "memory": info["used_memory"],
            "net": info["total_net_input_bytes"] + info["total_net_output_bytes"],
            "wal": float(wal),
            "requests": stack.sandbox.client.summary()["requests"],
        }


@click.command()
@click.option("--jobs", default=60_000, show_default=True, help="Jobs of the runs at full speed.")
@click.option("--seconds", default=30.0, show_default=True, help="Length of the steady runs.")
@click.option("--json", "path", type=click.Path(path_type=Path), default=RESULTS)
def main(jobs: int, seconds: float, path: Path) -> None:
    """Measure idle, appending, draining, steady, deferring and draining the backlog."""
    with Stack() as stack:
        runs = measure(stack, jobs, seconds)
        sizes = row_bytes(stack)
    costs = solve(runs, sizes)
    path.write_text(
        json.dumps(
            {
                "how": heading("python -m benchmarks.capacity"),
                "costs": {name: round(value, 4) for name, value in asdict(costs).items()},
                "runs": {name: asdict(run) for name, run in runs.items()},
            },
            indent=1,
        )
        + "\n"
    )
    for name, run in runs.items():
        click.echo(
            f"{name:12} {run.jobs:>7,} jobs {run.cycles:>6,} requests {run.seconds:6.1f} s   µs: "
            + ", ".join(
                f"{part} {run.per_job_us(part):,.1f}"
                for part in ("producer", "redis", "worker", "postgres")
            )
            + f"; WAL {run.wal_bytes / max(1, run.jobs):,.0f} B"
        )
    for name, value in asdict(costs).items():
        click.echo(f"{name:22} {value:12,.3f}")


def measure(stack: Stack, jobs: int, seconds: float) -> dict[str, Used]:
    """Return what each kind of work took."""
    runs: dict[str, Used] = {}
    stack.fresh(SHARDS)
    with stack.process("feed", ["benchmarks.feed", "events", str(jobs)]) as feed:
        measurement = _Measurement(stack, [])
        wait_for(lambda: not feed.running, 300)
        runs["enqueue_many"] = measurement.used(jobs)
    stack.fresh(SHARDS)
    # Without workers: what the calls themselves cost.
    measurement = _Measurement(stack, [])
    producer_s = _call(stack, 0, jobs)
    runs["append"] = measurement.used(jobs, producer_s)
    with stack.workers(1, pool="prefork", concurrency=SHARDS) as pids:
        runs["drain"] = _until_settled(stack, pids, jobs)
        measurement = _Measurement(stack, pids)
        time.sleep(seconds)
        runs["idle"] = measurement.used(0)
        for rate in (50, 500, 2000):
            count = int(rate * min(seconds, 30_000 / rate))
            measurement = _Measurement(stack, pids)
            producer_s = _call(stack, rate, count)
            _wait_settled(stack)
            runs[f"{rate}/s"] = measurement.used(count, producer_s)
        stack.sandbox.client.start_outage()
        _call(stack, 20, 60)
        few = jobs // 2
        with stack.process("feed", ["benchmarks.feed", "events, others", str(few)]) as feed:
            measurement = _Measurement(stack, pids)
            wait_for(lambda: not feed.running and stack.waiting() == 0, 300, poll_s=0.1)
            runs["defer"] = measurement.used(few)
        stack.sandbox.client.end_outage()
        stack.redis.delete("trackrelay:breaker:v2", "trackrelay:breaker")
        runs["backlog"] = _until_settled(stack, pids, few)
    return runs


def row_bytes(stack: Stack) -> tuple[float, float]:
    """Return the bytes of a row of ledger and of backlog, with their indexes."""
    with stack.engine.connect() as connection:
        # The ledger may consist of partitions.
        ledger = connection.execute(
            sa.text("""
            SELECT sum(pg_total_relation_size(oid)) / (SELECT count(*) FROM trackrelay_ledger)
            FROM pg_class WHERE relkind = 'r' AND (
                oid = CAST('trackrelay_ledger' AS regclass)
                OR oid IN (SELECT inhrelid FROM pg_inherits
                    WHERE inhparent = CAST('trackrelay_ledger' AS regclass)))""")
        ).scalar()
        backlog = connection.execute(
            sa.text("SELECT pg_total_relation_size('trackrelay_backlog')")
        ).scalar_one()
    return float(ledger or 0), float(backlog)


def solve(runs: dict[str, Used], sizes: tuple[float, float]) -> Costs:
    """Split what the runs took into a part for each job and a part for each cycle."""
    idle, append, drain = runs["idle"], runs["append"], runs["drain"]

    def split(value: Callable[[Used], float], appended: float = 0.0) -> tuple[float, float]:
        # Two runs with batches of different sizes, and two unknowns.
        idle_rate = value(idle) / idle.seconds
        small = runs["500/s"]
        per_job = (value(drain) - idle_rate * drain.seconds) / drain.jobs
        of_small = (value(small) - idle_rate * small.seconds) / small.jobs - appended
        cycle_share = small.cycles / small.jobs
        drain_share = drain.cycles / drain.jobs
        per_cycle = max(0.0, (of_small - per_job) / max(1e-9, cycle_share - drain_share))
        return max(0.0, per_job - per_cycle * drain_share), per_cycle

    def besides(run: Used, value: Callable[[Used], float]) -> float:
        return max(0.0, (value(run) - value(idle) / idle.seconds * run.seconds) / run.jobs)

    appended = append.redis_s / append.jobs
    redis_job, redis_cycle = split(lambda run: run.redis_s, appended)
    worker_job, worker_cycle = split(lambda run: run.worker_s)
    postgres_job, postgres_cycle = split(lambda run: run.postgres_s)
    wal_job, wal_cycle = split(lambda run: float(run.wal_bytes))
    defer, backlog = runs["defer"], runs["backlog"]
    return Costs(
        producer_job=append.per_job_us("producer"),
        append_job=append.per_job_us("redis"),
        append_of_many=runs["enqueue_many"].per_job_us("redis"),
        redis_job=redis_job * 1e6,
        redis_cycle=redis_cycle * 1e6,
        worker_job=worker_job * 1e6,
        worker_cycle=worker_cycle * 1e6,
        postgres_job=postgres_job * 1e6,
        postgres_cycle=postgres_cycle * 1e6,
        wal_job=wal_job,
        wal_cycle=wal_cycle,
        defer_worker_job=besides(defer, lambda run: run.worker_s) * 1e6,
        defer_postgres_job=besides(defer, lambda run: run.postgres_s) * 1e6,
        defer_wal_job=besides(defer, lambda run: float(run.wal_bytes)),
        undefer_worker_job=besides(backlog, lambda run: run.worker_s) * 1e6,
        undefer_postgres_job=besides(backlog, lambda run: run.postgres_s) * 1e6,
        undefer_wal_job=besides(backlog, lambda run: float(run.wal_bytes)),
        stream_job_bytes=append.redis_bytes / append.jobs,
        ledger_row_bytes=sizes[0],
        backlog_row_bytes=sizes[1] / max(1, defer.jobs),
        idle_redis=idle.redis_s / idle.seconds,
        idle_worker=idle.worker_s / idle.seconds,
        idle_postgres=idle.postgres_s / idle.seconds,
    )


def _call(stack: Stack, rate: float, count: int) -> float:
    """Call from a separate process; return the CPU seconds of the calls."""
    log = stack.folder / "calls.txt"
    command = ["benchmarks.steady_feed", f"{rate:g}", str(count)]
    with stack.process("calls", command) as child:
        wait_for(lambda: not child.running, 60 + count / 100)
        log = max(stack.folder.glob("calls-*.log"), key=lambda path: path.stat().st_mtime)
    return float(log.read_text().partition("cpu ")[2].split()[0])


def _until_settled(stack: Stack, pids: list[int], jobs: int) -> Used:
    measurement = _Measurement(stack, pids)
    _wait_settled(stack)
    return measurement.used(jobs)


def _wait_settled(stack: Stack) -> None:
    wait_for(lambda: stack.waiting() == 0 and not stack.has_backlog(), 300, poll_s=0.1)


if __name__ == "__main__":
    main()
