"""The demo from outside."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.command_line import CommandLine
from tests.support.description_check import violations
from tests.support.waiting import patient, wait_until
from tests.support.worker_process import clean_environment
from trackrelay.worker.devstack.demo.demo_verdict import Verdict
from trackrelay.worker.devstack.demo.scenario import Scenario
from trackrelay.worker.devstack.servers import ServerError

TRACKRELAY = str(Path(sys.executable).with_name("trackrelay"))
SMALL = ("--jobs", "300", "--seconds", "3")


def test_the_demo_loses_nothing_and_says_so_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: list[str] = []

    def verdict(scenario: Scenario) -> Verdict:
        wrong.extend(violations(scenario._sandbox))
        return judged(scenario)

    judged = Scenario.verdict
    monkeypatch.setattr(Scenario, "verdict", verdict)
    done = CommandLine({})("demo", *SMALL, "--json")
    assert done.code == 0, done.err
    assert wrong == []
    found = done.json
    assert found["enqueued"] == found["delivered"] >= 300
    assert found["dead_lettered"] == found["replayed"] == 9
    assert found["lost"] == found["duplicates"] == found["out_of_order"] == found["unexpected"] == 0
    assert found["refused_at_the_call"] == 3
    assert found["outage_seconds"] > 0.3
    assert found["seconds"] > 3
    assert "Customer.io is down" in done.err


def test_the_demo_prints_its_result_and_the_next_step_and_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    child = subprocess.Popen(
        [TRACKRELAY, "demo", *SMALL],
        env=clean_environment() | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout
    lines = [child.stdout.readline()]
    while "the shop opens" not in lines[-1]:
        assert lines[-1], lines
        lines.append(child.stdout.readline())
    children = psutil.Process(child.pid).children(recursive=True)
    lines += child.stdout.readlines()
    assert child.wait(patient(60)) == 0
    (result,) = [line for line in lines if "lost=" in line]
    assert "lost=0 duplicates=0 out_of_order=0" in result
    assert lines[-1].split() in ([TRACKRELAY, "dev"], ["trackrelay", "dev"])
    replays = [line for line in lines if "$ trackrelay replay" in line]
    assert len(replays) == 3
    assert all("3 replayed" in line for line in replays)
    assert len(children) >= 5
    wait_until(lambda: not any(each.is_running() for each in children))
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_cannot_start_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: Any
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def start(self: object) -> None:
        raise ServerError("Valkey did not like it here")

    monkeypatch.setattr("trackrelay.worker.devstack.servers.ValkeyProcess.start", start)
    assert run("demo", *SMALL).only_line() == "Valkey did not like it here"
