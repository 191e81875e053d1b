"""``trackrelay worker`` and ``trackrelay beat`` find our Celery app in any folder."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.waiting import patient, wait_until
from tests.support.worker_process import clean_environment

SCRIPT = str(Path(sys.executable).with_name("trackrelay"))
#: Settings of an application's own Celery in the environment.
SOMEBODY_ELSES_CELERY = {
    "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    "APP": "their.app",
    "BROKER_URL": "redis://127.0.0.1:1/0",
}

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(harness: Harness, tmp_path: Path, worker_log: Callable[[str], Path]) -> Iterator[Start]:
    """Start a command in a folder that has its own worker.py and celery.py."""
    for name in ("worker", "celery"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('an application of its own')\n")
    running: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: str) -> subprocess.Popen[bytes]:
        with worker_log(arguments[0]).open("wb") as log:
            environment = clean_environment() | harness.settings | SOMEBODY_ELSES_CELERY
            running.append(
                subprocess.Popen(
                    [SCRIPT, *arguments], cwd=tmp_path, env=environment, stdout=log, stderr=log
                )
            )
        return running[-1]

    yield begin
    for process in running:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()


def test_a_worker_delivers_beside_an_application_with_its_own_worker(
    harness: Harness, start: Start
) -> None:
    worker = start("worker", "--pool", "threads", "--concurrency", "2", "-l", "info")

    harness.wait_delivered([harness.producer.track("42", "greeted")], timeout=40)

    worker.send_signal(signal.SIGTERM)
    assert worker.wait(patient(30)) == 0


def test_a_beat_shows_itself(harness: Harness, run: CommandLine, start: Start) -> None:
    start("beat")

    wait_until(lambda: harness.redis.get("trackrelay:beat"), 40, "a sign of the beat")
    assert run("status", "--json").json["beat"]["age_s"] < 30


def test_an_option_celery_does_not_know_is_wrong_usage(harness: Harness, run: CommandLine) -> None:
    answer = run.process("worker", "--concurrancy", "4")

    assert answer.code == 2
    assert "No such option '--concurrancy'" in answer.err


@pytest.mark.parametrize(
    ("command", "option"), [("worker", "--concurrency"), ("beat", "--schedule")]
)
def test_help_is_celerys_own_and_needs_no_settings(command: str, option: str) -> None:
    answer = CommandLine({}).process(command, "--help")

    assert (answer.code, answer.err) == (0, "")
    assert option in answer.out
