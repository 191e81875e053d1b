"""`trackrelay dev` from outside: it works, it keeps what it had, and nothing outlives it."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests.support.description_check import violations
from tests.support.waiting import patient, wait_until
from tests.support.worker_process import ROOT, clean_environment
from trackrelay import Producer
from trackrelay.sandbox.client import SandboxClient

TRACKRELAY = str(Path(sys.executable).with_name("trackrelay"))


class Dev:
    """A running `trackrelay dev`, and its output."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [TRACKRELAY, "dev", "--data", str(folder), *(options or ("--no-console",))],
            env=clean_environment() | {"CUSTOMERIO_SITE_ID": "the-real-one"},
            cwd=folder.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []

    def wait_until_ready(self) -> "Dev":
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)
            if "Ctrl-C stops" in line:
                return self
        raise AssertionError("".join(self.lines))

    @property
    def settings(self) -> dict[str, str]:
        """The variables that it prints for other terminals."""
        exports = [
            shlex.split(line)[1] for line in self.lines if line.strip().startswith("export ")
        ]
        return dict(export.split("=", 1) for export in exports)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal; the exit code and its last words."""
        self.process.send_signal(number)
        words, _ = self.process.communicate(timeout=patient(40))
        return self.process.returncode, words


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Dev]]:
    started: list[Dev] = []

    def run(*options: str) -> Dev:
        started.append(Dev(tmp_path / "data", *options))
        return started[-1]

    yield run
    for dev in started:
        if dev.process.poll() is None:
            dev.process.kill()
            dev.process.communicate()


def test_what_was_enqueued_is_delivered_and_data_and_ports_survive_a_restart(
    start: Callable[[], Dev], tmp_path: Path
) -> None:
    first = start().wait_until_ready()
    settings = first.settings
    sandbox = SandboxClient(settings["CUSTOMERIO_TRACK_URL"])
    producer = Producer(redis_url=settings["TRACKRELAY_REDIS_URL"])
    job = producer.track("42", "bought", idempotency_key="A-1")
    wait_until(lambda: [effect["id"] for effect in sandbox.effects()] == [job])
    assert violations(sandbox) == []
    assert settings["CUSTOMERIO_SITE_ID"] != "the-real-one"
    children = first.children()
    code, words = first.end(signal.SIGINT)
    assert code == 0
    assert "Everything is stopped" in words
    kept = [
        Path(place)
        for place in re.findall(
            r" stays? in ([^\s,;]+?)[.,;]?(?=\s)", words.rpartition("Everything is stopped")[2]
        )
    ]
    assert any(list(place.glob("**/data/appendonlydir")) for place in kept), kept
    assert any(list(place.glob("**/pgdata/PG_VERSION")) for place in kept), kept
    assert re.fullmatch(
        r"redis://:[0-9a-f]{32}@127\.0\.0\.1:\d+/0", settings["TRACKRELAY_REDIS_URL"]
    )
    assert "worker │ " in words
    assert not any(child.is_running() for child in children)

    second = start().wait_until_ready()
    assert second.settings == settings
    producer.track("42", "bought", idempotency_key="A-1")
    after = producer.track("42", "bought", idempotency_key="A-2")
    wait_until(lambda: list(sandbox.effects()))
    assert [effect["id"] for effect in sandbox.effects()] == [after]
    assert violations(sandbox) == []
    producer.close()
    assert second.end(signal.SIGTERM)[0] == 0


def test_nothing_outlives_it_even_when_it_is_killed(start: Callable[..., Dev]) -> None:
    dev = start("--console").wait_until_ready()
    (link,) = re.findall(r"http://127\.0\.0\.1:\d+/sign-in\?token=\S+", "".join(dev.lines))
    signed_in = requests.get(link, timeout=patient(20))
    assert "Overview" in signed_in.text
    assert dev.settings["TRACKRELAY_REDIS_URL"] not in signed_in.text
    children = dev.children()
    assert len(children) >= 6
    os.kill(dev.process.pid, signal.SIGKILL)
    wait_until(lambda: not any(child.is_running() for child in children), timeout=20)


def test_when_a_part_of_it_ends_it_says_which_and_stops(start: Callable[[], Dev]) -> None:
    dev = start().wait_until_ready()
    (valkey,) = [child for child in dev.children() if child.name() == "valkey-server"]
    valkey.kill()
    words, _ = dev.process.communicate(timeout=patient(40))
    assert dev.process.returncode == 1
    assert "Valkey ended unexpectedly" in words
    # The worker may say at length what it thinks of that; we do not.
    assert not [line for line in words.splitlines() if line.startswith("Traceback")]


def test_its_settings_are_its_owners_alone_and_a_second_one_on_the_same_data_leaves_it_alone(
    start: Callable[[], Dev], tmp_path: Path
) -> None:
    first = start().wait_until_ready()
    file = tmp_path / "data" / "env"
    assert file.stat().st_mode & 0o077 == 0
    assert (
        f"export TRACKRELAY_REDIS_URL={first.settings['TRACKRELAY_REDIS_URL']}" in file.read_text()
    )
    assert (tmp_path / "data" / ".gitignore").read_text() == "*\n"
    second = start()
    words, _ = second.process.communicate(timeout=patient(40))
    assert second.process.returncode == 1
    assert "another Valkey is running on" in words or "another PostgreSQL is running on" in words
    assert "Traceback" not in words
    assert first.process.poll() is None


def test_the_tutorial_works_as_it_is_written(start: Callable[[], Dev]) -> None:
    dev = start().wait_until_ready()
    folder = Path(TRACKRELAY).parent
    environment = clean_environment() | dev.settings
    ran = []
    for language, code in re.findall(
        r"^```(sh|python)\n(.*?)^```$",
        (ROOT / "docs" / "tutorial.md").read_text().partition("## 3.")[2],
        re.MULTILINE | re.DOTALL,
    ):
        command = [sys.executable] if language == "python" else ["bash", "-e"]
        ran.append(
            subprocess.run(
                command,
                check=False,
                input=code.replace(".venv/bin", str(folder)),
                env=environment,
                capture_output=True,
                text=True,
                timeout=patient(120),
            )
        )
        assert ran[-1].returncode == 0, (code, ran[-1])
    assert "3 jobs: 3 delivered" in ran[-1].stdout
