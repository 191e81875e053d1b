"""The Django shop: its own tests, and a customer's whole visit on a running server."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from tests.support.harness import Harness
from tests.support.waiting import patient, wait_until
from tests.support.worker_process import ROOT, clean_environment
from trackrelay.sandbox.client import SandboxClient
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.devstack.servers import ports
from trackrelay.worker.queue.bootstrap import migrate

SHOP = ROOT / "examples" / "django_shop"


def manage(*arguments: str, **settings: str) -> tuple[list[str], dict[str, Any]]:
    environment = {
        **clean_environment(),
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "shop.settings",
        **settings,
    }
    return [sys.executable, str(SHOP / "manage.py"), *arguments], {"env": environment, "cwd": SHOP}


def run(*arguments: str, **settings: str) -> str:
    command, options = manage(*arguments, **settings)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=patient(120), check=False, **options
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_its_own_tests_pass() -> None:
    assert "Ran 10 tests" in run("test")


def test_its_settings_pass_the_checks_and_there_are_no_migrations_to_make() -> None:
    assert "no issues" in run("check", TRACKRELAY_REDIS_URL="redis://127.0.0.1:1/0")
    run("makemigrations", "--check", "--dry-run")


@pytest.fixture
def harness(
    worker_settings: dict[str, str], sandbox: SandboxProcess, start_worker: Callable[..., Any]
) -> Iterator[Harness]:
    """Servers, a worker that relays the shop's outbox too."""
    url = worker_settings["TRACKRELAY_DATABASE_URL"]
    harness = Harness(
        {**worker_settings, "TRACKRELAY_OUTBOX_URL": url, "SHOP_DATABASE_URL": url}, sandbox.client
    )
    migrate(harness.engine, harness.redis, 4)
    run("migrate", "--verbosity=0", **harness.settings)
    run("fill_shop", **harness.settings)
    start_worker(harness.settings, pool="threads", concurrency=4)
    yield harness
    harness.close()


@pytest.fixture
def shop(harness: Harness, worker_log: Callable[[str], Path]) -> Iterator[str]:
    """The shop's address."""
    port, log = ports.free_port(), worker_log("shop")
    command, options = manage("runserver", "--noreload", f"127.0.0.1:{port}", **harness.settings)
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, **options)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(url), 30, lambda: f"the shop: {log.read_text()}")
        yield url
    finally:
        server.kill()
        server.wait()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


class Customer:
    """A visitor with a browser."""

    def __init__(self, shop: str) -> None:
        self._shop = shop
        self._session = requests.Session()

    def look(self, path: str) -> str:
        answer = self._session.get(self._shop + path, timeout=20)
        answer.raise_for_status()
        return answer.text

    def send(self, page: str, path: str, **data: str) -> str:
        """Fill in the form on `page` that goes to `path`."""
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.look(page))
        assert found
        answer = self._session.post(
            self._shop + path, {**data, "csrfmiddlewaretoken": found[1]}, timeout=20
        )
        answer.raise_for_status()
        return answer.text


def test_a_customer_s_life_arrives_at_customerio(harness: Harness, shop: str) -> None:
    # Without it a known person's address stays what it is.
    harness.sandbox.settings(email_updates_with_id=True)
    ada = Customer(shop)
    ada.look("/product/teapot/")
    ada.send(
        "/sign-up/",
        "/sign-up/",
        email="ada@example.com",
        first_name="Ada",
        password="correct horse",
    )
    ada.send("/product/tea/", "/cart/", sku="tea")
    assert "Your order is A-" in ada.send("/cart/", "/check-out/")
    ada.send("/profile/", "/profile/", first_name="Augusta", email="augusta@example.com")
    # The one that `fill_shop` makes, to be repaired in the admin.
    (dead,) = wait_until(
        lambda: harness.rows("SELECT reason, field FROM trackrelay_dead_letters"),
        40,
        "a dead letter",
    )
    assert tuple(dead) == ("invalid", "attributes.bio")

    def known() -> Any:
        found = next(
            (
                each
                for each in harness.sandbox.people()
                if each["attributes"].get("first_name") == "Augusta"
            ),
            None,
        )
        return found

    person = wait_until(known, 40, "the customer")
    assert person["identifiers"]["email"] == "augusta@example.com"
    assert len(person["anonymous_ids"]) == 1
    assert person["attributes"]["orders_count"] == 1
    assert person["attributes"]["lifetime_value"] == 9.9
    names = [effect["name"] for effect in harness.effects() if effect["action"] == "event"]
    assert names == [
        "product_viewed",
        "signed_up",
        "product_viewed",
        "product_added",
        "order_completed",
    ]

    ada.send("/profile/", "/delete-account/")
    wait_until(
        lambda: [each for each in harness.effects() if each["action"] == "suppress"],
        40,
        "the suppression",
    )
    wait_until(
        lambda: not harness.rows("SELECT 1 FROM trackrelay_outbox"), 40, "the outbox to be empty"
    )


class Started:
    """The example as its README starts it, once everything is installed."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SHOP / "run.py"), "--data", str(folder)],
            env=clean_environment() | {"DJANGO_SETTINGS_MODULE": "somebody.elses"},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout
        printed = ""
        for line in self.process.stdout:
            printed += line
            if "Ctrl-C" in line:
                break
        else:
            pytest.fail(printed)
        self.shop, _, sandbox = re.findall(r"http://127\.0\.0\.1:\d+", printed)
        self.customer_io = SandboxClient(sandbox)
        self.children = psutil.Process(self.process.pid).children(recursive=True)

    def ended(self) -> tuple[int, str]:
        """Its exit code and its last words."""
        words, _ = self.process.communicate(timeout=patient(60))
        assert not [child for child in self.children if child.is_running()]
        return self.process.returncode, words


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    with socket.socket() as taken:
        if ports.is_free(8000):
            taken.bind(("127.0.0.1", 8000))
            taken.listen()
        example = Started(tmp_path)
    yield example
    example.process.kill()
    example.process.communicate()


def test_one_command_starts_it_with_everything_behind_it_and_sigterm_stops_all_of_it(
    started: Started,
) -> None:
    assert not started.shop.endswith(":8000")
    wait_until(lambda: _answers(started.shop), 30, "the shop")
    Customer(started.shop).look("/product/teapot/")
    wait_until(
        lambda: [each["name"] for each in started.customer_io.events()] == ["product_viewed"], 30
    )
    started.process.send_signal(signal.SIGTERM)
    code, words = started.ended()
    assert code == 0, words


def test_what_ends_by_itself_ends_the_rest_and_is_named(started: Started) -> None:
    (relay,) = [each for each in started.children if each.cmdline()[-2:] == ["trackrelay", "relay"]]
    relay.kill()
    code, words = started.ended()
    assert code == 1
    assert "the relay ended unexpectedly" in words


def test_its_readme_says_how_to_start_it() -> None:
    command = SHOP / "run"
    assert "examples/django_shop/run" in (SHOP / "README.md").read_text()
    assert command.stat().st_mode & 0o111
