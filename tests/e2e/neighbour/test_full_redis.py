"""An application fills the Redis that it shares with us.

Delivery pauses, nothing is lost, and delivery resumes by itself.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.harness import Harness
from tests.support.waiting import wait_until
from tests.support.worker_process import ROOT, clean_environment
from trackrelay.worker.devstack.servers import ChildProcess


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_workers_survive_a_redis_at_its_maxmemory_and_resume(
    harness: Harness, start_worker: Any, worker_log: Callable[[str], Path], pool: str
) -> None:
    worker = start_worker(harness.settings, pool=pool)
    with worker_log("beat").open("ab") as output:
        beat = ChildProcess(
            "beat",
            [sys.executable, "-m", "celery", "-A", "trackrelay", "beat"],
            env=clean_environment() | harness.settings,
            cwd=ROOT,
            output=output.fileno(),
        ).start()
    try:
        wait_until(lambda: harness.redis.exists("trackrelay:beat"), 30, "a sign of the beat")
        harness.sandbox.settings(latency_s=0.3)
        jobs = [harness.producer.track(str(person), "seen") for person in range(50)]
        fill(harness.redis)
        wait_until(
            lambda: (
                "Cannot connect" in worker.output or "Connection to broker lost" in worker.output
            ),
            20,
            "trouble",
        )
        assert (worker.running, beat.running) == (True, True)

        harness.redis.config_set("maxmemory", 0)
        harness.wait_delivered([*jobs, harness.producer.track("42", "after")], timeout=40)
        assert (worker.running, beat.running) == (True, True)
        assert harness.sandbox.duplicates() == {}
    finally:
        beat.kill()


def fill(client: redis.Redis) -> None:
    """Add keys of another application."""
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 0.9))
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        client.set("somebody", "1")
