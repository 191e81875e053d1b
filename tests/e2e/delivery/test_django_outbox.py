"""What Django wrote is relayed and delivered, whatever became of the process that wrote it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

import trackrelay
from tests.support import django_project
from tests.support.harness import Harness
from tests.support.outbox import relay_once
from tests.support.waiting import patient
from tests.support.worker_process import ROOT, clean_environment
from trackrelay.django.models import OutboxRow


@pytest.mark.parametrize("alias", ["default", "lite"])
def test_rows_of_django_are_relayed_in_order_and_delivered(
    alias: str, shop_url: str, lite_url: str, harness: Harness, start_worker: Callable[..., Any]
) -> None:
    with django_project.connected(OUTBOX=alias):
        with transaction.atomic(using=alias):
            jobs = [trackrelay.track("42", "seen", {"n": n}) for n in range(20)]
        with django_project.rolled_back(alias):
            trackrelay.track("42", "never", {})
        done = relay_once(
            {
                **harness.settings,
                "TRACKRELAY_OUTBOX_URL": shop_url if alias == "default" else lite_url,
            }
        )
        assert (done.relayed, done.errors) == (20, {})
        assert {row.generation is not None for row in OutboxRow.objects.using(alias)} == {True}
    start_worker(harness.settings, pool="threads", concurrency=4)
    harness.wait_delivered(jobs, 30)
    assert [effect["id"] for effect in harness.effects("id:42")] == jobs


CRASH = """
import os, signal, sys
from tests.support import django_project
import trackrelay
from django.db import transaction
from tests.django_project.shop.models import Order
django_project.use("default", sys.argv[1])
with django_project.connected(OUTBOX=True):
    with transaction.atomic():
        Order.objects.create(number="A-1")
        trackrelay.track("42", "order_completed", {"number": "A-1"})
        if sys.argv[2] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("moment", "orders"), [("before", 0), ("after", 1)])
def test_a_process_killed_around_the_commit_leaves_order_and_event_or_neither(
    moment: str, orders: int, shop_url: str, harness: Harness
) -> None:
    died = subprocess.run(
        [sys.executable, "-c", CRASH, shop_url, moment],
        env={**clean_environment(), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        timeout=patient(60),
        check=False,
    )
    assert died.returncode == -signal.SIGKILL

    done = relay_once({**harness.settings, "TRACKRELAY_OUTBOX_URL": shop_url})
    assert done.relayed == orders
    with django_project.connected(BACKEND="off"):
        from tests.django_project.shop.models import Order

        assert Order.objects.count() == orders
