"""`manage.py trackrelay`: the whole command line, with Django's settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.support.harness import Harness
from tests.support.waiting import patient
from tests.support.worker_process import ROOT, clean_environment

PROJECT = """
import os, sys
from tests.django_project.settings import *
from tests.support.databases_told import told_of
DATABASES["relay"].update(told_of(os.environ["RELAY"]))
TRACKRELAY = {"REDIS_URL": os.environ["REDIS"], "DATABASE": "relay"}
"""
MANAGE = (
    "import sys; from django.core.management import execute_from_command_line; "
    "execute_from_command_line(sys.argv)"
)


@pytest.fixture
def manage(harness: Harness, tmp_path: Path) -> Any:
    """`manage.py` of a project that has nothing in the environment."""
    (tmp_path / "told.py").write_text(PROJECT)
    (tmp_path / "manage.py").write_text(MANAGE)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = clean_environment() | {
            "DJANGO_SETTINGS_MODULE": "told",
            "RELAY": harness.settings["TRACKRELAY_DATABASE_URL"],
            "REDIS": harness.settings["TRACKRELAY_REDIS_URL"],
            "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT))),
        }
        command = [sys.executable, str(tmp_path / "manage.py"), *arguments]
        return subprocess.run(
            command,
            check=False,
            env=environment,
            capture_output=True,
            text=True,
            timeout=patient(60),
            cwd=tmp_path,
        )

    return run


def test_every_command_works_with_the_settings_of_django(manage: Any) -> None:
    assert "dead-letters" in (shown := manage("trackrelay", "--help")).stdout, shown.stderr
    status = manage("trackrelay", "status", "--json")
    assert status.returncode in (0, 1), status.stderr
    assert json.loads(status.stdout)
    assert manage("trackrelay", "dead-letters", "list").stdout.strip() == "No dead letters."


def test_a_person_is_forgotten_with_the_settings_of_django(manage: Any, harness: Harness) -> None:
    job = harness.producer.track("42", "first")
    done = manage("trackrelay", "forget", "42", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["complete"]
    assert harness.delivered(job).outcome == "erased"


def test_its_exit_status_is_the_command_line_s(manage: Any) -> None:
    wrong = manage("trackrelay", "statsu")
    assert wrong.returncode == 2
    assert "Did you mean 'status'?" in wrong.stderr
    failed = manage("trackrelay", "dead-letters", "show", "01NONE")
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr


def test_a_program_can_call_it(
    admin_project: None, harness: Harness, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    call_command("trackrelay", "dead-letters", "list", "--json")
    assert json.loads(capfd.readouterr().out)
    with pytest.raises(CommandError):
        call_command("trackrelay", "dead-letters", "show", "01NONE", stderr=StringIO())


def test_the_admin_starts_no_celery(manage: Any, tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(
        "import django, sys; django.setup()\n"
        "from django.contrib import admin; admin.autodiscover()\n"
        "import trackrelay.worker.django.admin, trackrelay.worker.django.actions\n"
        "from trackrelay.worker.django.actions import actions_of\n"
        "class User:\n    get_username = staticmethod(lambda: 'ada')\n"
        "from trackrelay.worker.dead_letters.eligibility import ReplayPolicy\n"
        "with actions_of(User()) as actions: actions.plan(['01NONE'], ReplayPolicy())\n"
        "print(sorted({'celery', 'kombu', 'billiard'} & sys.modules.keys()))\n"
    )
    shown = manage("shell", "-c", f"exec(open({str(tmp_path / 'look.py')!r}).read())")
    assert shown.stdout.strip().splitlines()[-1] == "[]", shown.stderr
