"""``python -m benchmarks.console_users``: delivery while people use the console, and without.

Short runs with and without people take turns, over full tables, so that both meet the same machine.
Each person has the live Overview open and opens pages at a human pace.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import click
import requests
import sqlalchemy as sa

from trackrelay.worker.devstack.servers import ports

from .console_pages import addresses, fill
from .end_to_end import CONCURRENCY, POOL, SHARDS, feed_and_wait
from .machine import heading
from .mixes import MIXES
from .stack import Meter, Stack

#: Delivery beside people must reach this share of delivery without.
MIN_RATIO = 0.95
#: Seconds for which a person looks at a page.
LOOKS_S = (3.0, 9.0)
#: People whose jobs are in the backlog. The first job of each is looked at in every cycle.
WAITING_PEOPLE = 1_000
USER_HEADER = "X-Forwarded-User"
# They stay: each would be delivered at once, and is not what is measured.
_PUT_OFF = sa.text("""
    UPDATE trackrelay_backlog SET due_at = now() + interval '30 days' WHERE due_at IS NOT NULL
""")
_BULK_WAITS = sa.text("""
    SELECT 1 FROM trackrelay_backlog
    WHERE shard = ANY(ARRAY(SELECT shard FROM trackrelay_shards)) AND lane = 'bulk' LIMIT 1
""")


class FilledStack(Stack):
    """A stack whose backlog has jobs in the live lane that are not due.

    They hold nothing up: the jobs of a run are in the bulk lane.
    """

    def has_backlog(self) -> bool:
        """Return whether jobs of the bulk lane are in the backlog."""
        with self.engine.connect() as connection:
            return connection.execute(_BULK_WAITS).first() is not None


@dataclass
class Visits:
    """What people saw during one run."""

    page_ms: list[float] = field(default_factory=list)
    #: Names of the events of the live Overview.
    events: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Visitor:
    """One person: a stream that stays open, and a page every few seconds.

    Args:
        number: decides when they open which page.
        url: of the console.
        paths: of the pages.
        visits: where they write what they see.
    """

    def __init__(self, number: int, url: str, paths: Sequence[str], visits: Visits) -> None:
        self._chance = random.Random(number)
        self._url, self._paths, self._visits = url, paths, visits
        self._left = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(each,), daemon=True)
            for each in (self._watch, self._read)
        ]

    def come(self) -> None:
        """Open the Overview."""
        for thread in self._threads:
            thread.start()

    def leave(self) -> None:
        """Close everything."""
        self._left.set()
        for thread in self._threads:
            thread.join()

    def _run(self, what: object) -> None:
        assert callable(what)
        try:
            what()
        except requests.RequestException as error:
            self._visits.problems.append(str(error))

    def _get(self, path: str, *, stream: bool = False) -> requests.Response:
        answer = requests.get(
            self._url + path, headers={USER_HEADER: "ada"}, stream=stream, timeout=60
        )
        if answer.status_code != 200:
            self._visits.problems.append(f"{path} answers {answer.status_code}")
        return answer

    def _watch(self) -> None:
        while not self._left.is_set():
            with self._get("/live/overview", stream=True) as answer:
                for line in answer.iter_lines():
                    name, _, value = line.decode().partition(": ")
                    if name == "event":
                        self._visits.events.append(value)
                    if self._left.is_set():
                        return

    def _read(self) -> None:
        while not self._left.wait(self._chance.uniform(*LOOKS_S)):
            began = time.perf_counter()
            self._get(self._chance.choice(self._paths))
            self._visits.page_ms.append((time.perf_counter() - began) * 1000)


@dataclass(frozen=True)
class Run:
    """One run of delivery; CPU in seconds for 10,000 jobs."""

    jobs_per_s: float
    worker_cpu_s: float
    console_cpu_s: float
    postgres_cpu_s: float
    visits: Visits


@click.command()
@click.option("--ledger", default=10_000_000, show_default=True)
@click.option("--backlog", default=1_000_000, show_default=True)
@click.option("--letters", default=20_000, show_default=True)
@click.option("--runs", default=7, show_default=True, help="Runs with people, and without.")
@click.option("--jobs", default=100_000, show_default=True, help="Jobs in a run.")
@click.option("--people", default=5, show_default=True, help="People who use the console.")
@click.option("--mix", default="events", show_default=True, type=click.Choice(list(MIXES)))
def main(
    ledger: int, backlog: int, letters: int, runs: int, jobs: int, people: int, mix: str
) -> None:
    """Measure how many jobs a second are delivered while people use the console."""
    measured: dict[str, list[Run]] = {"alone": [], "beside people": []}
    with FilledStack() as stack:
        _prepare(stack, ledger, backlog, letters)
        paths = [path for _, path in addresses(stack) if not path.startswith(("/live", "/metrics"))]
        with (
            _console(stack) as (url, console),
            stack.workers(1, pool=POOL, concurrency=CONCURRENCY) as pids,
        ):
            measurement = Measurement(stack, mix, jobs, pids, console)
            measurement.run([], "warm-up")
            numbers = count()
            for number in range(runs):
                for name in measured if number % 2 == 0 else reversed(measured):
                    visits = Visits()
                    visitors = [
                        Visitor(next(numbers), url, paths, visits)
                        for _ in range(people if name != "alone" else 0)
                    ]
                    measured[name].append(measurement.run(visitors, name, visits))
    _report(measured, people)


def _prepare(stack: FilledStack, ledger: int, backlog: int, letters: int) -> None:
    stack.fresh(
        SHARDS,
        TRACKRELAY_CONSOLE_USERS="ada:view_payloads+operate",
        TRACKRELAY_CONSOLE_PROXY_HEADER=USER_HEADER,
        TRACKRELAY_CONSOLE_PROXY_ADDRESSES="127.0.0.1",
    )
    click.echo(heading("python -m benchmarks.console_users"))
    began = time.monotonic()
    fill(stack, ledger, backlog, letters, waiting_people=WAITING_PEOPLE)
    with stack.engine.begin() as connection:
        connection.execute(_PUT_OFF)
    with stack.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE trackrelay_backlog")
    click.echo(
        f"{ledger:,} ledger rows, {backlog:,} waiting jobs, {letters:,} dead letters: "
        f"filled in {time.monotonic() - began:.0f} s"
    )


@contextmanager
def _console(stack: Stack) -> Iterator[tuple[str, int]]:
    port = ports.free_port()
    command = ["trackrelay.worker.cli.main", "console", "--port", str(port)]
    with stack.process("console", command, b"The console listens on") as child:
        yield f"http://127.0.0.1:{port}", child.pid


@dataclass(frozen=True)
class Measurement:
    """Measures runs of delivery by the same workers, over the same tables."""

    stack: Stack
    mix: str
    jobs: int
    workers: Sequence[int]
    console: int

    def run(self, visitors: Sequence[Visitor], name: str, visits: Visits | None = None) -> Run:
        """Deliver once while visitors are there."""
        for each in visitors:
            each.come()
        console = Meter([self.console])
        postgres = Meter([self.stack.postgres.pid or 0])
        try:
            found = feed_and_wait(
                self.stack, self.mix, self.jobs, self.workers, name,
                watch=lambda *_: postgres.look(),
            )  # fmt: skip
        finally:
            per_10k = 10_000 / self.jobs
            console_s, postgres_s = console.stop().cpu_s, postgres.stop().cpu_s
            for each in visitors:
                each.leave()
        visits = visits or Visits()
        if visits.problems:
            raise click.ClickException(f"the console failed: {visits.problems[0]}")
        run = Run(
            found.delivered_per_s,
            found.cpu_s_per_10k,
            console_s * per_10k,
            postgres_s * per_10k,
            visits,
        )
        click.echo(f"{name}: {run.jobs_per_s:,.0f} jobs/s; {_cpu(run)}; {_seen(visits)}")
        return run


def _cpu(run: Run) -> str:
    return (
        f"CPU-seconds for 10,000 jobs: worker and feed {run.worker_cpu_s:.2f}, "
        f"Postgres {run.postgres_cpu_s:.2f}, console {run.console_cpu_s:.2f}"
    )


def _seen(visits: Visits) -> str:
    if not visits.page_ms:
        return "nobody looks"
    return (
        f"{len(visits.page_ms)} pages, median {statistics.median(visits.page_ms):,.0f} ms, "
        f"{visits.events.count('part')} live parts"
    )


def _report(measured: dict[str, list[Run]], people: int) -> None:
    for name, runs in measured.items():
        rates = [each.jobs_per_s for each in runs]
        middle = sorted(runs, key=lambda each: each.jobs_per_s)[len(runs) // 2]
        click.echo(
            f"{name}: median {statistics.median(rates):,.0f} jobs/s "
            f"({min(rates):,.0f} to {max(rates):,.0f}); {_cpu(middle)}"
        )
    # Neighbours in time meet the same machine.
    ratios = [
        beside.jobs_per_s / alone.jobs_per_s
        for alone, beside in zip(*measured.values(), strict=True)
    ]
    ratio = statistics.median(ratios)
    click.echo(
        f"delivery beside {people} people: {ratio:.3f} × of delivery alone "
        f"(pairs: {', '.join(f'{each:.2f}' for each in sorted(ratios))}); wanted: {MIN_RATIO} ×"
    )
    if ratio < MIN_RATIO:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
