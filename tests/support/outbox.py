"""An application with an outbox, relays in processes and in this one, and what jobs became."""

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from trackrelay import Operation, operations
from trackrelay.outbox import Outbox, create_table, table
from trackrelay.queue.job import decode_entry
from trackrelay.worker.queue.redis_client import connect
from trackrelay.worker.relay.outbox_rows import OutboxRows
from trackrelay.worker.relay.relay_loop import RelayLoop, RelayTotals, make_loop
from trackrelay.worker.settings import load
from trackrelay.worker.storage.engine import make_engine

from .harness import Harness
from .waiting import patient, wait_until
from .worker_process import ROOT, clean_environment


class Application:
    """Writes jobs in its own transactions."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        create_table(self.engine)

    def track(self, person: str, name: str = "seen", **data: Any) -> str:
        """One job, committed."""
        with self.engine.begin() as connection:
            return Outbox(connection).track(person, name, data)

    def write(self, made: list[Operation], at_once: int = 50) -> list[str]:
        """Jobs in order, some in each transaction."""
        for start in range(0, len(made), at_once):
            with self.engine.begin() as connection:
                Outbox(connection).enqueue_all(made[start : start + at_once])
        return [operation.id for operation in made]

    def rows(self) -> list[Any]:
        """What the outbox holds."""
        with self.engine.connect() as connection:
            return list(connection.execute(sa.select(table).order_by(table.c.id)))

    def unrelayed(self) -> list[str]:
        """The jobs that were not relayed yet."""
        return [row.job_id for row in self.rows() if row.generation is None]

    def is_empty(self) -> bool:
        """Whether every job has arrived, and was let go."""
        return not self.rows()


def events(count: int, people: int) -> list[Operation]:
    """Events of several people, numbered."""
    return [
        operations.track(str(number % people), "seen", {"n": number}) for number in range(count)
    ]


def assert_once_and_in_order(harness: Harness, made: list[Operation]) -> None:
    """Each job took effect once, and those of one person in the order in which they were made."""
    expected: dict[str, list[str]] = {}
    for operation in made:
        expected.setdefault(operation.keys[0], []).append(operation.id)
    found: dict[str, list[str]] = {key: [] for key in expected}
    for effect in harness.effects():
        for key in effect["keys"]:
            if key in found and effect["action"] == "event":
                found[key].append(effect["id"])
    assert {key: len(ids) for key, ids in found.items()} == {
        key: len(ids) for key, ids in expected.items()
    }
    assert found == expected


class RelayProcess:
    """``trackrelay relay`` as a child process."""

    def __init__(self, settings: dict[str, str], log: Path, *arguments: str) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "trackrelay.worker.cli.main", "relay", *arguments],
                env=clean_environment() | settings,
                cwd=ROOT,
                stdout=output,
                stderr=output,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait(self, timeout: float = 60.0) -> int:
        return self.process.wait(patient(timeout))

    def terminate(self, timeout: float = 30.0) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def stream_jobs(harness: Harness, shard: int, lane: str = "live") -> list[str]:
    """The jobs in a stream, in order, repeats included."""
    return [
        job.id
        for _, fields in harness.redis.xrange(f"trackrelay:{shard}:{lane}")
        for job in decode_entry(fields[b"j"])
    ]


def relay_once(settings: dict[str, str]) -> RelayTotals:
    """What ``trackrelay relay --once`` does, in this process."""
    loop = make_relay(settings)
    assert loop.take_lease()
    while loop.run_pass() == 0:
        pass
    loop.release_lease()
    return loop.totals


def make_relay(settings: dict[str, str], rows: type[OutboxRows] = OutboxRows) -> RelayLoop:
    """A relay of the settings' outbox, in this process."""
    configured = load(settings)
    return make_loop(
        rows(configured.outbox_url.get_secret_value()),
        configured,
        connect(configured),
        make_engine(configured, pool_size=1),
        threading.Event(),
    )


def wait_empty(application: Application, timeout: float = 60.0) -> None:
    """Wait until the outbox has let everything go."""
    wait_until(
        application.is_empty,
        timeout,
        lambda: f"the outbox to be empty; it holds {len(application.rows())} rows",
    )
