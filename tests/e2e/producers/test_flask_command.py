"""`flask trackrelay`: the whole command line, with the settings of the application."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import trackrelay
from tests.support.waiting import patient, wait_until
from tests.support.worker_process import ROOT, clean_environment
from trackrelay.sandbox.sandbox_process import SandboxProcess

APP = """
import os
from flask import Flask
from trackrelay.flask import TrackRelay

def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env("APP")
    TrackRelay(app)
    return app
"""


def flask_command(
    tmp_path: Path, settings: dict[str, str], *arguments: str
) -> tuple[list[str], dict[str, str]]:
    """Return a command of Flask's with an application whose config has ``settings``."""
    (tmp_path / "shop.py").write_text(APP)
    told = {f"APP_{name}": value for name, value in settings.items()}
    environment = (
        clean_environment()
        | told
        | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "NO_COLOR": "1"}
    )
    return [sys.executable, "-m", "flask", "--app", "shop", *arguments], environment


def run_flask(
    tmp_path: Path, settings: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    command, environment = flask_command(tmp_path, settings, *arguments)
    return subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )


def test_flask_trackrelay_is_the_whole_command_line_with_the_applications_settings(
    tmp_path: Path, worker_settings: dict[str, str]
) -> None:
    listed = run_flask(tmp_path, {}, "--help")
    assert "trackrelay  Set up, operate and deliver" in listed.stdout
    helped = run_flask(tmp_path, {}, "trackrelay", "--help")
    assert "Usage: flask trackrelay" in helped.stdout
    assert "dead-letters" in helped.stdout
    assert run_flask(tmp_path, worker_settings, "trackrelay", "migrate").returncode == 0
    checked = run_flask(tmp_path, worker_settings, "trackrelay", "check", "--json")
    assert checked.returncode in (0, 1)
    assert "TRACKRELAY_REDIS_URL is missing" not in checked.stdout + checked.stderr
    status = run_flask(tmp_path, worker_settings, "trackrelay", "status", "--fail-if", "oldest>10m")
    assert (status.returncode, status.stderr) == (0, "")
    wrong = run_flask(tmp_path, {}, "trackrelay", "status")
    assert wrong.returncode == 1
    assert "TRACKRELAY_REDIS_URL" in wrong.stderr


def test_flask_trackrelay_worker_delivers(
    tmp_path: Path,
    worker_settings: dict[str, str],
    sandbox: SandboxProcess,
    worker_log: Callable[[str], Path],
) -> None:
    assert run_flask(tmp_path, worker_settings, "trackrelay", "migrate").returncode == 0
    log = worker_log("flask-worker")
    command, environment = flask_command(
        tmp_path, worker_settings, "trackrelay", "worker", "--pool=threads"
    )
    with log.open("wb") as output:
        worker = subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=output, stderr=output
        )
    try:
        job = trackrelay.Producer(redis_url=worker_settings["TRACKRELAY_REDIS_URL"]).track(
            "42", "seen"
        )
        wait_until(
            lambda: [event["id"] for event in sandbox.client.events()] == [job], 40, log.read_text
        )
    finally:
        worker.terminate()
        worker.wait(patient(30))
