"""Software of the real world: an order placed through django-oscar's own pages arrives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.support.harness import Harness
from tests.support.waiting import patient, wait_until
from tests.support.worker_process import ROOT, clean_environment
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.queue.bootstrap import migrate

SHOP = ROOT / "examples" / "oscar_shop"


def manage(harness: Harness, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(SHOP / "manage.py"), *arguments],
        env={
            **clean_environment(),
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "tests.e2e.examples.oscar_settings",
            **harness.settings,
        },
        cwd=SHOP,
        capture_output=True,
        text=True,
        timeout=patient(150),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_a_visit_to_oscar_arrives_from_the_first_look_to_the_order(
    worker_settings: dict[str, str], sandbox: SandboxProcess, start_worker: Callable[..., Any]
) -> None:
    url = worker_settings["TRACKRELAY_DATABASE_URL"]
    harness = Harness(
        {**worker_settings, "TRACKRELAY_OUTBOX_URL": url, "SHOP_DATABASE_URL": url}, sandbox.client
    )
    migrate(harness.engine, harness.redis, 4)
    manage(harness, "migrate", "--verbosity=0", "--run-syncdb")

    number = manage(harness, "buy", "ada@example.com").splitlines()[-1]
    assert harness.rows("SELECT 1 FROM trackrelay_outbox")
    start_worker(harness.settings, pool="threads", concurrency=4)

    def order() -> Any:
        return next((each for each in harness.effects() if each["name"] == "order_completed"), None)

    arrived = wait_until(order, 60, "the order")
    assert arrived["attributes"]["order_number"] == number
    assert arrived["attributes"]["total"] == 24.5
    assert arrived["attributes"]["items"][0]["name"] == "A teapot"
    (ada,) = harness.sandbox.people()
    assert ada["identifiers"]["email"] == "ada@example.com"
    # What they looked at before anybody knew them is theirs.
    assert (len(ada["anonymous_ids"]), ada["events"]) == (1, 3)
    assert ada["attributes"]["orders_count"] == 1
    # Only the registration signal of Oscar has it.
    assert ada["attributes"]["created_at"] > 0
    events = [each["name"] for each in harness.effects() if each["action"] == "event"]
    assert events == ["product_viewed", "product_added", "order_completed"]
    harness.close()
