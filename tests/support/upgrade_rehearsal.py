"""An upgrade and the way back, step by step, under load, on real servers.

``python -m tests.support.upgrade_rehearsal``: workers of an earlier release are replaced one by one
by those of this one, as `docs/how-to/upgrading.md` says, and then the other way. Applications call
all the time. In the end no job may be lost, delivered twice, or out of order.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import click
import redis
import sqlalchemy as sa

from tests.chaos import calls, stores
from tests.chaos.accounts import Accounts, draw
from tests.support import release_caller
from tests.support.releases import (
    NoHistoryError,
    Release,
    before_newest_migration,
    earlier_release,
    this_release,
)
from tests.support.waiting import wait_until
from tests.support.worker_process import WorkerProcess, clean_environment
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.devstack.servers import PostgresProcess, ValkeyProcess
from trackrelay.worker.settings import sqlalchemy_url

#: What Customer.io's answer takes, so that requests are under way when a worker is stopped.
LATENCY = "50ms"


@dataclass
class Step:
    """One step, and what happened meanwhile."""

    what: str
    tables: str
    workers: str
    callers: str
    began: float
    ended: float = 0.0
    enqueued: int = 0
    delivered: int = 0
    #: The longest time without a delivery, in seconds.
    pause_s: float = 0.0


@dataclass
class Report:
    """What came of it."""

    steps: list[Step] = field(default_factory=list)
    accounts: Accounts = field(default_factory=Accounts)


@dataclass(frozen=True)
class Load:
    """How much is called.

    Attributes:
        rate: calls a second of each application.
        seconds: how long the load goes on after each step.
        callers: the names of the applications.
    """

    rate: float = 50.0
    seconds: float = 4.0
    callers: tuple[str, ...] = ("ada", "eve")


class Installation:
    """Servers, workers and applications of two releases.

    Args:
        folder: for logs and journals.
    """

    def __init__(self, folder: Path, load: Load) -> None:
        self.report = Report()
        self._folder = folder
        self._load = load
        self._valkey, self._postgres = ValkeyProcess(), PostgresProcess(durable=False)
        self._sandbox = SandboxProcess(0, latency=LATENCY)
        self._workers: list[tuple[Release, WorkerProcess]] = []
        self._callers: dict[str, tuple[Release, subprocess.Popen[bytes]]] = {}
        self._started = 0

    def start(self) -> None:
        """Start the servers."""
        with ThreadPoolExecutor() as pool:
            servers = (self._valkey, self._postgres, self._sandbox)
            list(pool.map(lambda server: server.start(), servers))
        self._redis = redis.Redis.from_url(self._valkey.url)
        self._engine = sa.create_engine(sqlalchemy_url(self._postgres.url), poolclass=sa.NullPool)
        self.settings = {
            "TRACKRELAY_REDIS_URL": self._valkey.url,
            "TRACKRELAY_DATABASE_URL": self._postgres.url,
            "CUSTOMERIO_TRACK_URL": self._sandbox.url,
            "CUSTOMERIO_SITE_ID": self._sandbox.site_id,
            "CUSTOMERIO_TRACK_API_KEY": self._sandbox.api_key,
            "TRACKRELAY_LOG_FORMAT": "json",
            # A busy machine is no outage.
            "TRACKRELAY_ENQUEUE_TIMEOUT": "30s",
            "TRACKRELAY_REQUEST_TIMEOUT": "30s",
        }

    def close(self) -> None:
        """End everything."""
        for _, caller in self._callers.values():
            caller.kill()
            caller.wait()
        for _, worker in self._workers:
            worker.kill()
        self._sandbox.kill()
        self._valkey.close()
        self._postgres.close()

    @property
    def revision(self) -> str:
        """The revision of the tables."""
        with self._engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT version_num FROM trackrelay_alembic_version")
            return str(found.scalar_one())

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Do the body, and let the load go on for some time after it."""
        began = time.time()
        yield
        time.sleep(self._load.seconds)
        wait_until(lambda: self._delivered_since(began), 20, f"a delivery after: {what}")
        workers = " ".join(each.name.partition(" ")[0] for each, _ in self._workers) or "none"
        callers = " ".join(each.name.partition(" ")[0] for each, _ in self._callers.values())
        self.report.steps.append(
            Step(what, self.revision, workers, callers, began, ended=time.time())
        )

    def _delivered_since(self, moment: float) -> bool:
        query = sa.text(
            "SELECT EXISTS (SELECT FROM trackrelay_ledger WHERE delivered_at > to_timestamp(:at))"
        )
        with self._engine.connect() as connection:
            return bool(connection.execute(query, {"at": moment}).scalar_one())

    def add_worker(self, release: Release) -> None:
        """Start a worker, and wait until it takes jobs."""
        self._started += 1
        worker = WorkerProcess(
            self.settings | release.environment,
            log=self._folder / f"worker{self._started}.log",
            name=f"worker{self._started}",
            pool="threads",
            concurrency=4,
            python=release.python,
            cwd=release.folder,
        )
        self._workers.append((release, worker))
        worker.start()

    def end_worker(self) -> None:
        """End the worker that was started first, as a supervisor does."""
        _, worker = self._workers.pop(0)
        worker.stop()
        if worker.exit_code:
            raise RuntimeError(f"a worker ended with {worker.exit_code}:\n{worker.output[-2000:]}")

    def call(self, name: str, release: Release) -> None:
        """Let an application be of this release; it goes on where the one before it ended."""
        if name in self._callers:
            self.end_calls(name)
        journal = self._folder / f"{name}.journal"
        command = [
            *(str(release.python), "-P", release_caller.__file__, name),
            *(str(calls.count(journal)), str(self._load.rate), str(journal)),
        ]
        environment = clean_environment() | self.settings | release.environment
        self._callers[name] = (release, subprocess.Popen(command, env=environment))
        before = calls.count(journal)
        wait_until(lambda: calls.count(journal) > before, 20, f"{name} to call")

    def end_calls(self, name: str) -> None:
        """End an application after the call that it makes."""
        _, caller = self._callers.pop(name)
        caller.terminate()
        if caller.wait(60):
            raise RuntimeError(f"the caller {name} failed: {caller.returncode}")

    def settle(self) -> None:
        """Wait until nothing waits any more, and reconcile."""
        wait_until(lambda: not any(stores.waiting(self._redis, self._engine)), 60, "delivery")
        journals = [calls.read(path) for path in sorted(self._folder.glob("*.journal"))]
        client = self._sandbox.client
        found = stores.look(self._redis, self._engine)
        self.report.accounts = draw(
            journals,
            found,
            stores.arrivals(client),
            stores.attributes(client),
            # Nothing is killed, so everybody knows what took effect.
            ambiguous=False,
        )
        everything = [call for journal in journals for call in journal]
        for each in self.report.steps:
            each.enqueued = sum(each.began <= call.ended < each.ended for call in everything)
            at = sorted(at for at in found.ledger.values() if each.began <= at < each.ended)
            each.delivered = len(at)
            moments = pairwise([each.began, *at, each.ended])
            each.pause_s = max(later - earlier for earlier, later in moments)


def rehearse(
    old: Release, new: Release, folder: Path, *, workers: int, load: Load, down: bool
) -> Report:
    """Upgrade, and go back.

    Args:
        folder: for logs and journals.
        workers: how many there are at a time.
        down: whether the tables go back too, which needs a moment without workers.
    """
    place = Installation(folder, load)
    try:
        place.start()
        old.run(place.settings, "migrate")
        before = place.revision
        for _ in range(workers):
            place.add_worker(old)
        with place.step("before"):
            for name in load.callers:
                place.call(name, old)
        with place.step("trackrelay migrate"):
            new.run(place.settings, "migrate")
        _workers(place, new, workers, "to new")
        _applications(place, new, load, "to new")
        _applications(place, old, load, "back to old")
        _workers(place, old, workers, "back to old")
        if down:
            with place.step("workers stopped, migrate --down, workers started"):
                for _ in range(workers):
                    place.end_worker()
                new.run(place.settings, "migrate", "--down", before, "--yes")
                for _ in range(workers):
                    place.add_worker(old)
        for name in load.callers:
            place.end_calls(name)
        place.settle()
    finally:
        place.close()
    return place.report


def _workers(place: Installation, release: Release, number: int, to: str) -> None:
    for each in range(1, number + 1):
        with place.step(f"worker {each} {to}"):
            place.add_worker(release)
            place.end_worker()


def _applications(place: Installation, release: Release, load: Load, to: str) -> None:
    for name in load.callers:
        with place.step(f"application {name} {to}"):
            place.call(name, release)


COLUMNS = "{:<50} {:>6}  {:<12} {:<8} {:>5} {:>8} {:>9} {:>7}"


def table(report: Report) -> Iterator[str]:
    """The lines of the table."""
    yield COLUMNS.format(
        *("step", "tables", "workers", "callers", "s", "enqueued", "delivered", "pause s")
    )
    for each in report.steps:
        yield COLUMNS.format(
            *(each.what, each.tables, each.workers, each.callers),
            *(f"{each.ended - each.began:.0f}", each.enqueued, each.delivered),
            f"{each.pause_s:.1f}",
        )
    accounts = report.accounts
    yield (
        f"{accounts.jobs} jobs: {accounts.lost} lost, {accounts.duplicated} twice, "
        f"{accounts.out_of_order} people out of order"
    )


@click.command()
@click.option("--old", "revision", help="The earlier release in git.")
@click.option("--own-packages", is_flag=True, help="Install the packages it was tested with.")
@click.option("--workers", default=2, show_default=True, help="How many run at a time.")
@click.option("--seconds", default=4.0, show_default=True, help="Load after each step.")
@click.option("--rate", default=50.0, show_default=True, help="Calls a second, of each of two.")
def main(
    revision: str | None, own_packages: bool, workers: int, seconds: float, rate: float
) -> None:
    """Rehearse an upgrade from an earlier release to this one, and the way back.

    The default is the revision before the newest migration was added.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            old = earlier_release(
                revision or before_newest_migration(), folder / "old", own_packages=own_packages
            )
        except NoHistoryError as error:
            raise click.ClickException(f"git does not have the earlier release: {error}") from None
        report = rehearse(
            old, this_release(), folder, workers=workers, load=Load(rate, seconds), down=True
        )
    click.echo(f"{old.name} → new → {old.name}")
    for line in table(report):
        click.echo(line)
    for problem in report.accounts.problems:
        click.echo(problem, err=True)
    sys.exit(bool(report.accounts.problems))


if __name__ == "__main__":
    main()
