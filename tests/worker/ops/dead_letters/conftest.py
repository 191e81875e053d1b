"""A road on which a thread of the test's own process delivers, for tests that need a worker and no process of its own."""

import threading
from collections.abc import Iterator

import pytest

from tests.support.road import Road
from tests.support.waiting import patient
from tests.worker.delivery.in_process import Worker
from tests.worker.ops.command_line import CommandLine

PLAN = {"field": "attributes.plan", "message": "there is no such plan"}
#: What the worker and the commands hash keys with.
SECRET = "a secret of the tests"


@pytest.fixture
def run(run: CommandLine) -> CommandLine:
    """The command line, told the secret that the worker has."""
    return CommandLine({**run.settings, "TRACKRELAY_KEY_HASH_SECRET": SECRET})


@pytest.fixture
def delivering(road: Road) -> Iterator[Road]:
    """Whatever is enqueued is delivered at once."""
    worker, stopped = (
        Worker({**road.settings, "TRACKRELAY_KEY_HASH_SECRET": SECRET}),
        threading.Event(),
    )

    def work() -> None:
        while not stopped.wait(0.01):
            worker.work(slice_s=0.2)

    thread = threading.Thread(target=work)
    thread.start()
    yield road
    stopped.set()
    thread.join(patient(20))
    worker.close()


@pytest.fixture
def refusing(delivering: Road) -> Road:
    """A Customer.io that knows no platinum plan, and has no push set up."""
    delivering.sandbox.add_fault(kind="reject", match={"contains": '"plan":"platinum"'}, **PLAN)
    delivering.sandbox.add_fault(
        kind="reject", match={"action": "add_device"}, field="device.token", message="no push"
    )
    return delivering


@pytest.fixture
def letter(refusing: Road) -> str:
    """The dead letter of an event."""
    job = refusing.producer.track(
        "42", "bought", {"plan": "platinum", "total": 5}, idempotency_key="A-1"
    )
    refusing.wait_dead(job)
    return job
