"""Our worker finds its own queue in an environment that configures another Celery application."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.harness import Harness
from tests.support.waiting import patient, wait_until
from tests.support.worker_process import ROOT, clean_environment
from trackrelay.queue.redis_keys import QUEUE_KEY
from trackrelay.worker.devstack.servers import ChildProcess, ValkeyProcess


@pytest.fixture
def their_environment(own_redis: ValkeyProcess) -> dict[str, str]:
    """Settings of an application's Celery, whose broker is `own_redis`."""
    return {
        "CELERY_BROKER_URL": own_redis.url,
        "CELERY_BROKER_READ_URL": own_redis.url,
        "CELERY_BROKER_WRITE_URL": own_redis.url,
        "BROKER_URL": own_redis.url,
        "CELERY_RESULT_BACKEND": "their_package.results:Backend",
        "CELERY_LOADER": "their_package.loader:Loader",
        "DJANGO_SETTINGS_MODULE": "their_package.settings",
    }


def untouched(server: ValkeyProcess) -> bool:
    with redis.Redis.from_url(server.url) as client:
        return int(client.dbsize()) == 0


def test_a_worker_listens_at_our_queue_whatever_broker_the_environment_names(
    harness: Harness, start_worker: Any, own_redis: ValkeyProcess, their_environment: dict[str, str]
) -> None:
    start_worker(harness.settings | their_environment)
    harness.wait_delivered([harness.producer.track("42", "seen", {})])

    asked = celery(harness, their_environment, "inspect", "ping")
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert "pong" in asked.stdout
    assert untouched(own_redis)


def test_a_worker_listens_at_our_queue_whatever_broker_its_command_line_names(
    harness: Harness, worker_log: Callable[[str], Path], own_redis: ValkeyProcess
) -> None:
    with worker_log("worker").open("ab") as output:
        worker = ChildProcess(
            "the worker",
            [
                sys.executable,
                "-m",
                "celery",
                "-A",
                "trackrelay",
                "-b",
                own_redis.url,
                "worker",
                "--concurrency=1",
            ],
            env=clean_environment() | harness.settings,
            cwd=ROOT,
            output=output.fileno(),
        ).start()
    try:
        harness.wait_delivered([harness.producer.track("42", "seen", {})], timeout=40)
        assert untouched(own_redis)
    finally:
        worker.kill()


def test_a_beat_sends_to_our_queue_whatever_broker_the_environment_names(
    harness: Harness,
    worker_log: Callable[[str], Path],
    own_redis: ValkeyProcess,
    their_environment: dict[str, str],
) -> None:
    with worker_log("beat").open("ab") as output:
        beat = ChildProcess(
            "beat",
            [sys.executable, "-m", "celery", "-A", "trackrelay", "beat"],
            env=clean_environment() | harness.settings | their_environment,
            cwd=ROOT,
            output=output.fileno(),
        ).start()
    try:
        wait_until(lambda: harness.redis.llen(QUEUE_KEY), 30, "a tick in our queue")
        assert untouched(own_redis)
    finally:
        beat.kill()


def celery(
    harness: Harness, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "trackrelay", *arguments],
        env=clean_environment() | harness.settings | environment,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=patient(60),
    )
