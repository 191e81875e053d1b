"""A sandbox as a child process: it starts, stops, and does not outlive who started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
from pathlib import Path

import pytest

from tests.support.sandbox_api import Api
from tests.support.waiting import patient
from trackrelay.sandbox import SandboxProcess
from trackrelay.sandbox.sandbox_process import SandboxNotStartedError

ROOT = Path(__file__).resolve().parents[3]


def gone(pid: int) -> bool:
    """Wait until a process has ended."""
    deadline = time.monotonic() + patient(10)
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_it_restarts_on_the_same_port_knowing_nothing() -> None:
    with SandboxProcess() as server:
        Api(server).identify({"id": "1"})
        url, pid = server.url, server.pid
        server.restart()
        assert server.url == url
        assert server.pid != pid
        assert list(server.client.people()) == []


def test_it_stops_at_once_although_a_request_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trackrelay.sandbox.sandbox_process.STOP_S", patient(5))
    with SandboxProcess() as server:
        server.client.add_fault(kind="hang")
        connection = subprocess.Popen(
            [sys.executable, "-c", f"import urllib.request as r; r.urlopen('{server.url}/x')"],
            stderr=subprocess.DEVNULL,
        )
        while not server.client.faults()[0]["hits"]:
            time.sleep(0.02)
        process = server._process
        assert process is not None
        server.stop()
        assert process.returncode != -signal.SIGKILL, "it did not end by itself, and was killed"
        connection.wait(patient(5))


def test_a_killed_one_is_not_reachable_and_can_be_started_again() -> None:
    server = SandboxProcess().start()
    os.kill(server.pid or 0, signal.SIGKILL)
    while server.pid is not None:
        time.sleep(0.01)
    with pytest.raises(urllib.error.URLError):
        server.client.summary()
    server.start()
    assert server.client.summary()["requests"] == 0
    server.stop()


def test_it_dies_with_the_program_that_started_it() -> None:
    code = (
        "import os, time; from trackrelay.sandbox import SandboxProcess\n"
        "s = SandboxProcess().start(); print(s.pid, flush=True)\n"
        # A fork keeps the pipe to the sandbox open beyond its parent's end.
        "if os.fork() == 0: os.close(1); time.sleep(60)\n"
        "os.kill(os.getpid(), 9)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, process_group=0
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.wait(patient(10))
    try:
        assert gone(pid)
    finally:
        os.killpg(parent.pid, 9)
        parent.stdout.close()


def test_a_port_in_use_is_reported_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with SandboxProcess() as server:
        other = SandboxProcess(port=int(server.url.rpartition(":")[2]))
        with pytest.raises(SandboxNotStartedError):
            other.start()
    assert "cannot listen on 127.0.0.1:" in capfd.readouterr().err


def test_an_option_there_is_not_is_an_error_before_anything_starts() -> None:
    with pytest.raises(TypeError):
        SandboxProcess(colour="red")
    with pytest.raises(ValueError, match="is not a duration"):
        SandboxProcess(latency="soon")


def test_random_failures_latency_and_keys_come_with_the_start() -> None:
    failures = {"fail": ("503:50%", "429:50%"), "retry_after": "7", "seed": 1}
    with SandboxProcess(
        0, site_id="s", api_key="k", latency="60ms", environment_id=9, **failures
    ) as server:
        api = Api(server)
        began = time.monotonic()
        answers = [api.call("GET", "/api/v1/accounts/region") for _ in range(20)]
        assert time.monotonic() - began >= 20 * 0.06
        assert {answer.status for answer in answers} == {200, 503, 429}
        assert {
            answer.headers.get("retry-after") for answer in answers if answer.status != 200
        } == {"7"}
        assert next(a.json["environment_id"] for a in answers if a.status == 200) == 9
