"""In a clone, the top folders import under their own names, as the same modules as the package."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.waiting import patient, wait_until
from tests.support.worker_process import ROOT, clean_environment
from trackrelay.sandbox import SandboxProcess

SAME = """
import importlib, sys
folder, package = importlib.import_module(sys.argv[1]), importlib.import_module(sys.argv[2])
assert folder is package, (folder, package)
print("same")
"""


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in the clone, where nothing of ours is installed that it could find instead."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=clean_environment(), capture_output=True,
        text=True,
        timeout=patient(30), check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("producers", "trackrelay"),
        ("trackrelay", "producers"),
        ("producers.aio", "trackrelay.aio"),
        ("producers.django", "trackrelay.django"),
        ("producers.flask.extension", "trackrelay.flask.extension"),
        ("worker", "trackrelay.worker"),
        ("worker.celery", "trackrelay.worker.celery"),
        ("trackrelay.worker.testing", "worker.testing"),
        ("sandbox", "trackrelay.sandbox"),
        ("sandbox.client", "trackrelay.sandbox.client"),
    ],
)
def test_each_module_exists_once(first: str, second: str) -> None:
    done = run("-c", SAME, first, second)
    assert done.stdout == "same\n", done.stderr


def test_what_a_folder_does_not_hold_is_named_as_it_was_asked_for() -> None:
    done = run("-c", "import worker.nothing")
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'worker.nothing'\n")


def test_the_folder_s_name_runs_the_workers(
    worker_settings: dict[str, str], sandbox: SandboxProcess, start_worker: Callable[..., object]
) -> None:
    command = [Path(sys.executable).with_name("trackrelay"), "migrate"]
    subprocess.run(
        command, env=clean_environment() | worker_settings, check=True, timeout=patient(60)
    )
    start_worker(worker_settings, app="worker", cwd=Path(ROOT))
    program = "from producers import track; track('42', 'order_completed')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=clean_environment() | worker_settings,
        capture_output=True,
        text=True, timeout=patient(30), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wait_until(lambda: list(sandbox.client.events()), 20, "the event to arrive")
