"""The probes of a container, without a worker."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trackrelay.worker.maintenance import probe


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(probe.tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"trackrelay-{os.getuid()}"


def facts(**changes: Any) -> dict[str, Any]:
    return {
        "worker": "celery@web-1",
        "pid": os.getpid(),
        "at": 1000.0,
        "reached_at": 1000.0,
        "stuck_s": 0,
    } | changes


def test_a_worker_that_writes_is_alive_and_ready() -> None:
    assert probe.problem("alive", [facts()], 1029) is None
    assert probe.problem("ready", [facts()], 1009) is None


@pytest.mark.parametrize(
    ("which", "changes", "now", "words"),
    [
        ("alive", {}, 1031, "hangs: its last sign of life was 31 s ago"),
        ("alive", {"stuck_s": 121}, 1000, "takes no messages"),
        ("ready", {"reached_at": 980}, 1000, "does not reach Redis"),
        ("ready", {}, 1031, "hangs"),
    ],
)
def test_a_worker_that_hangs_fails_the_probe(
    which: str, changes: dict[str, Any], now: float, words: str
) -> None:
    assert words in str(probe.problem(which, [facts(), facts(**changes)], now))


def test_a_worker_without_redis_is_alive_because_a_restart_would_not_help() -> None:
    assert probe.problem("alive", [facts(reached_at=0)], 1000) is None


def test_files_of_ended_workers_and_broken_files_are_no_worker(folder: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    probe.write("celery@gone", facts(pid=ended.pid))
    probe.write("../../celery@here", facts())
    (folder / "broken.json").write_text("{")
    assert [each["worker"] for each in probe.read_all()] == ["celery@web-1"]
    assert sorted(each.name for each in folder.iterdir()) == [
        ".._.._celery@here.json",
        "broken.json",
        "celery@gone.json",
    ]
    probe.remove("../../celery@here")
    assert probe.problem("alive", probe.read_all(), 1000) == "no worker runs here"


def test_another_users_folder_is_not_used(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        probe.write("celery@web-1", facts())


def test_messages_that_wait_while_none_is_taken_show_a_stuck_worker() -> None:
    times = iter([0.0, 0.0, 50.0, 60.0, 60.0, 70.0, 70.0])
    watch = probe.MessageWatch(lambda: next(times))
    assert watch.stuck_s(3) == 0
    assert watch.stuck_s(3) == 50
    watch.received()
    assert watch.stuck_s(3) == 0
    assert watch.stuck_s(None) == 0
    assert watch.stuck_s(1) == 0


def test_the_command_needs_nothing_of_the_package(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-I", probe.__file__]
    environment = {"TMPDIR": str(tmp_path)}
    answer = subprocess.run(
        [*command, "alive"], check=False, capture_output=True, text=True, env=environment
    )
    assert (answer.returncode, answer.stderr) == (1, "no worker runs here\n")
    assert (
        subprocess.run(command, check=False, capture_output=True, env=environment).returncode == 2
    )
