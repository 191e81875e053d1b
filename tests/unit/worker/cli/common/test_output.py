"""What commands print."""

import shutil
import sys
from pathlib import Path

import click
import pytest

from trackrelay.worker.cli.common.output import runnable


def test_a_hint_names_a_program_that_can_be_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / ".venv" / "bin" / "trackrelay"
    script.parent.mkdir(parents=True)
    script.touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(script.with_name("python")))
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/trackrelay")
    assert runnable("trackrelay status") == "trackrelay status"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert runnable("trackrelay status") == ".venv/bin/trackrelay status"
    assert runnable("createdb app") == "createdb app"


def test_a_hint_within_django_has_the_settings_of_the_project() -> None:
    context = click.Context(click.Group("trackrelay"), info_name="manage.py trackrelay")
    with context, click.Context(click.Command("status"), parent=context, info_name="status"):
        assert runnable("trackrelay resume --shard 2") == "manage.py trackrelay resume --shard 2"
