"""The Django project of docs/how-to/standalone-admin.md, as the page has it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.docs_code import code_blocks
from tests.support.harness import Harness
from tests.support.waiting import wait_until
from tests.support.worker_process import ROOT, clean_environment
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.devstack.servers import ports
from trackrelay.worker.queue.bootstrap import migrate

PASSWORD = "only-for-this-test"
#: A server of any kind will do.
SERVE = """
import sys
from wsgiref.simple_server import make_server
from admin_site import application
make_server("127.0.0.1", int(sys.argv[1]), application).serve_forever()
"""


@pytest.fixture
def harness(
    worker_settings: dict[str, str], sandbox: SandboxProcess, start_worker: Callable[..., Any]
) -> Iterator[Harness]:
    """Servers and a worker; the application with the admin knows two addresses."""
    harness = Harness(worker_settings, sandbox.client)
    migrate(harness.engine, harness.redis, 4)
    start_worker(worker_settings)
    yield harness
    harness.close()


@pytest.fixture
def environment(harness: Harness, tmp_path: Path) -> dict[str, str]:
    """The variables that the page exports."""
    (code,) = code_blocks("how-to/standalone-admin.md")
    (tmp_path / "admin_site.py").write_text(code)
    return {
        **clean_environment(),
        **{
            name: harness.settings[name]
            for name in ("TRACKRELAY_DATABASE_URL", "TRACKRELAY_REDIS_URL")
        },
        "ADMIN_SECRET_KEY": "only for this test, and long enough for every check of Django's",
        "ADMIN_HOSTS": "127.0.0.1",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Callable[..., str]:
    """Runs a command of the project."""

    def command(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "admin_site.py", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return command


@pytest.fixture
def site(environment: dict[str, str], run: Callable[..., str], tmp_path: Path) -> Iterator[str]:
    """Its address, once staff has an account."""
    run("migrate")
    run("createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.com")
    port = ports.free_port()
    command = [sys.executable, "-c", SERVE, str(port)]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
    try:
        wait_until(lambda: not ports.is_free(port), 60, (tmp_path / "log").read_text)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def log_in(site: str) -> requests.Session:
    """A session of the member of staff."""
    session = requests.Session()
    form = session.get(f"{site}/login/", timeout=60).text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    assert token
    answer = session.post(
        f"{site}/login/",
        {"csrfmiddlewaretoken": token[1], "username": "ada", "password": PASSWORD, "next": "/"},
        timeout=60,
    )
    assert answer.status_code == 200
    assert "Log out" in answer.text
    return session


def test_dead_letters_are_shown_and_the_command_line_works(
    harness: Harness, site: str, run: Callable[..., str]
) -> None:
    harness.sandbox.add_fault(kind="reject", match={"name": "odd"}, message="odd is odd")
    letter = harness.producer.track("42", "odd")
    harness.wait_dead(letter)

    session = log_in(site)
    listed = session.get(f"{site}/trackrelay_ops/deadletter/?q=42", timeout=60)
    assert letter in listed.text
    assert (
        "odd is odd"
        in session.get(f"{site}/trackrelay_ops/deadletter/{letter}/change/", timeout=60).text
    )
    assert session.get(f"{site}/static/admin/css/base.css", timeout=60).status_code == 200
    assert letter in run("trackrelay", "dead-letters", "list")


def test_its_settings_pass_the_checks(run: Callable[..., str]) -> None:
    assert "no issues" in run("check")
