"""Real processes: the Procfile under honcho, two workers side by side, a warm shutdown."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from tests.support.harness import Harness
from tests.support.in_process_worker import Worker
from tests.support.waiting import wait_until
from tests.support.worker_process import ROOT, WorkerProcess, clean_environment
from trackrelay import Person
from trackrelay.operations.keys import shard_of
from trackrelay.queue.append import DELIVER_TASK
from trackrelay.queue.redis_keys import CELERY_PREFIX, QUEUE_KEY
from trackrelay.worker.devstack.servers import ChildProcess
from trackrelay.worker.maintenance.redis_leftovers import BROADCAST_TABLES
from trackrelay.worker.maintenance.retention import prune_all


def test_the_procfile_delivers_a_job_enqueued_from_another_process(
    harness: Harness, worker_log: Callable[[str], Path]
) -> None:
    log = worker_log("honcho")
    environment = clean_environment() | harness.settings
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment.get('PATH', '')}"
    with log.open("ab") as output:
        honcho = ChildProcess(
            "honcho",
            [sys.executable, "-m", "honcho", "start"],
            env=environment,
            cwd=ROOT,
            output=output.fileno(),
        ).start()
    try:
        wait_until(
            lambda: harness.redis.exists("trackrelay:beat"),
            40,
            lambda: f"beat; log:\n{log.read_text()}",
        )
        code = "from trackrelay import track; print(track('42', 'seen', {}))"
        job = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        harness.wait_delivered([job], timeout=30)
    finally:
        honcho.stop()
        honcho.kill()
    assert "Traceback" not in log.read_text()


def test_workers_prune_without_a_beat_and_once_for_the_whole_fleet(
    harness: Harness, start_worker: Any
) -> None:
    insert = sa.text(
        "INSERT INTO trackrelay_ledger (id, key, operation, enqueued_at, delivered_at, attempts) "
        "SELECT id, 'id:42', 'person.event', now(), now() - make_interval(days => days), 1 "
        "FROM (VALUES ('old', 40), ('young', 5)) AS row (id, days)"
    )
    with harness.engine.begin() as connection:
        connection.execute(insert)
    start_worker(harness.settings, pool="threads")
    wait_until(lambda: harness.ledger_ids() == {"young"}, 20, "the old row to go")
    # These are the tables in which Celery leaves an entry of each worker that is killed.
    wait_until(lambda: all(map(harness.redis.scard, BROADCAST_TABLES)), 20, "Celery's tables")
    worker = Worker(harness.settings)
    with harness.engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE trackrelay_ledger SET delivered_at = now() - interval '40 days'")
        )
    assert prune_all(worker.resources) == {}
    assert harness.ledger_ids() == {"young"}
    worker.close()
    for key in ("trackrelay:told-to-prune", "trackrelay:pruned"):
        assert 400 < harness.redis.ttl(key) <= 600


def test_two_workers_share_the_load_and_stopping_one_leaves_nothing_undone(
    harness: Harness, start_worker: Any, tmp_path: Path
) -> None:
    harness.sandbox.settings(latency_s=0.05)
    here = {"TMPDIR": str(tmp_path)}
    assert probe("alive", here) == probe("ready", here) == 1
    workers = [
        start_worker(harness.settings | here, name=f"w{number}", concurrency=2)
        for number in range(2)
    ]
    wait_until(lambda: probe("ready", here) == 0, 30, "a worker to be ready")
    jobs: list[str] = []

    def busy() -> bool:
        with harness.producer.pipeline() as pipeline:
            jobs.extend(
                pipeline.track(str(person), "seen", {"n": len(jobs)}) for person in range(100)
            )
        return all('"request"' in worker.output for worker in workers)

    wait_until(busy, 30, "both workers to send")
    assert probe("alive", here) == 0
    assert len(list(tmp_path.glob("*/*.json"))) == 2
    workers[0].term()
    for _ in range(20):
        busy()
    assert workers[0].wait(20) == 0
    harness.wait_delivered(jobs, timeout=40)
    harness.wait_settled()
    assert not harness.dead_ids()
    assert harness.sandbox.duplicates() == {}
    # One that stopped is none that hangs.
    assert len(list(tmp_path.glob("*/*.json"))) == 1
    assert probe("alive", here) == 0


def probe(which: str, environment: dict[str, str]) -> int:
    """The exit status of the probe, which costs a container next to nothing."""
    command = [Path(sys.executable).with_name("trackrelay-probe"), which]
    return subprocess.run(command, check=False, capture_output=True, env=environment).returncode


def test_a_busy_worker_leaves_the_wakeups_it_has_no_thread_for_to_an_idle_one(
    harness: Harness, start_worker: Any
) -> None:
    settings = harness.settings | {"TRACKRELAY_REQUEST_TIMEOUT": "60s"}
    start_worker(settings, name="busy")
    harness.sandbox.add_fault(kind="hang", seconds=60.0, match={"identifier": "id:slow"})
    slow = harness.producer.track("slow", "seen")
    wait_until(
        lambda: harness.sandbox.faults()[0]["hits"], 10, "a request that holds the worker up"
    )
    people = {shard_of(f"id:{name}", 4): str(name) for name in range(40)}
    del people[shard_of("id:slow", 4)]
    jobs = [harness.producer.track(name, "seen") for name in people.values()]

    def waiting() -> int:
        return sum(
            json.loads(message)["headers"]["task"] == DELIVER_TASK
            for message in harness.redis.lrange(QUEUE_KEY, 0, -1)
        )

    # It may lay its hand on one message; Celery's own multiplier would let it take four.
    wait_until(
        lambda: harness.redis.hlen(f"{CELERY_PREFIX}unacked"),
        10,
        "a message in the busy worker's hand",
    )
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        assert waiting() >= len(jobs) - 1
        time.sleep(0.02)
    start_worker(settings, name="idle")
    harness.wait_delivered(jobs, timeout=20)
    assert slow not in harness.ledger_ids()
    harness.sandbox.clear_faults()
    harness.wait_delivered([slow], timeout=20)


def test_a_warm_shutdown_finishes_the_request_in_flight_and_nothing_is_sent_twice(
    harness: Harness, start_worker: Any
) -> None:
    harness.sandbox.settings(latency_s=1.0)
    worker = start_worker(harness.settings)
    jobs = [harness.producer.track("42", "seen", {"n": number}) for number in range(20)]
    wait_until(
        lambda: [each for each in harness.sandbox.requests() if each["path"].startswith("/api/v2")],
        10,
        "a request under way",
    )
    worker.term()
    assert worker.wait(20) == 0
    delivered = harness.ledger_ids()
    assert delivered
    effects = {effect["id"] for effect in harness.effects("id:42")}
    assert effects == delivered
    start_worker(harness.settings, name="next")
    harness.wait_delivered(jobs, timeout=30)
    assert harness.sandbox.duplicates() == {}


def test_a_signal_to_the_whole_process_group_also_lets_the_request_in_flight_finish(
    harness: Harness, start_worker: Any
) -> None:
    harness.sandbox.settings(latency_s=1.0)
    worker = start_worker(harness.settings)
    job = harness.producer.submit_form("f1", Person(id="42"), {"name": "Ada"})
    wait_until(
        lambda: [
            each for each in harness.sandbox.requests() if each["path"].startswith("/api/v1/forms")
        ],
        10,
        "a request under way",
    )
    for process in (
        worker.pid,
        *(child.pid for child in psutil.Process(worker.pid).children(recursive=True)),
    ):
        os.kill(process, signal.SIGTERM)
    assert worker.wait(20) == 0
    assert harness.ledger_ids() == {job}
    assert "Traceback" not in worker.output


def test_a_signalled_pool_process_ends_during_its_work_and_another_continues(
    harness: Harness, start_worker: Any
) -> None:
    worker = start_worker(harness.settings)
    (child,) = psutil.Process(worker.pid).children()
    jobs = [harness.producer.track("42", "seen", {"n": 0})]
    harness.wait_delivered(jobs, timeout=20)
    child.terminate()

    def ended() -> bool:
        jobs.append(harness.producer.track("42", "seen", {"n": len(jobs)}))
        return not child.is_running() or child.status() == psutil.STATUS_ZOMBIE

    wait_until(ended, 10, "the pool process to end")
    harness.wait_delivered(jobs, timeout=20)
    assert harness.sandbox.duplicates() == {}
    assert "Traceback" not in worker.output


def test_the_solo_pool_ends_warmly_in_the_midst_of_work(
    harness: Harness, start_worker: Any
) -> None:
    worker = start_worker(harness.settings, pool="solo")
    jobs = [harness.producer.track("42", "seen", {"n": 0})]
    harness.wait_delivered(jobs, timeout=20)
    worker.term()

    def ended() -> bool:
        jobs.append(harness.producer.track("42", "seen", {"n": len(jobs)}))
        return not worker.running

    wait_until(ended, 15, "the worker to end")
    assert worker.exit_code == 0
    start_worker(harness.settings, name="next")
    harness.wait_delivered(jobs, timeout=20)
    assert harness.sandbox.duplicates() == {}


def test_pool_processes_that_are_not_forked_deliver_too(
    harness: Harness, worker_log: Callable[[str], Path]
) -> None:
    # As on macOS, where billiard starts a new interpreter for each.
    worker = WorkerProcess(harness.settings, log=worker_log("spawned"))
    worker.command[worker.command.index("-A") + 1] = "tests.support.spawn_app"
    try:
        worker.start()
        job = harness.producer.track("42", "seen")
        harness.wait_delivered([job], timeout=30)
    finally:
        worker.stop()
    assert "Traceback" not in worker.output
