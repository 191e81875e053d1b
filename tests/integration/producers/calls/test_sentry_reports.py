"""What a real Sentry client sends: unexpected errors, without payloads; expected ones are no crash.

Its integrations change the whole process, so each script runs in one of its own.
"""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from trackrelay.sentry import HIDDEN, before_send

SETUP = """
import json, logging, sys
import sentry_sdk
from sentry_sdk.transport import Transport
import trackrelay.sentry

sent = []

class Recording(Transport):
    def capture_envelope(self, envelope):
        sent.extend(item.payload.json for item in envelope.items if item.type == "event")

options = {"before_send": trackrelay.sentry.before_send} if "plain" not in sys.argv else {}
sentry_sdk.init(
    dsn="https://key@sentry.example.com/1", transport=Recording, send_default_pii=True, **options
)

def report():
    sentry_sdk.flush()
    print(json.dumps(sent))
"""

APPLICATION = """
import trackrelay
from trackrelay import Person, Producer, TrackRelayError, track
from trackrelay.operations import event_builders

ADA = Person(email="canary@example.com")

# The queue is away: logged, raised and caught, raised and not caught.
away = dict(redis_url="redis://127.0.0.1:1", enqueue_timeout=0.05)
Producer(**away, on_unavailable="log").track(ADA, "canary-event", {"card": "canary-card"})
Producer(**away, on_invalid="log").identify(ADA, {"canary-attribute" * 100: 1})
for call in (
    lambda: Producer(**away).track(ADA, "canary-event", {"card": "canary-card"}),
    lambda: Producer(**away).track("", "canary-event", {"card": "canary-card"}),
):
    try:
        call()
    except TrackRelayError as error:
        sentry_sdk.capture_exception(error)

# A fault of ours.
def fails(document, **more):
    body = document
    raise KeyError("canary-key", body)

event_builders.check = fails
trackrelay.configure(backend="memory")
shop_variable = "the application's own"
try:
    track(ADA, "canary-event", {"card": "canary-card"})
except KeyError as error:
    sentry_sdk.capture_exception(error)

# A fault of the application.
def view():
    own = "kept"
    raise ValueError("the application's own message")

try:
    view()
except ValueError as error:
    sentry_sdk.capture_exception(error)
report()
"""

WORKER = """
import os
os.environ |= {
    "TRACKRELAY_REDIS_URL": "redis://127.0.0.1:1", "TRACKRELAY_DATABASE_URL": "postgresql://x"
}
from redis.exceptions import ConnectionError
from trackrelay.worker import tasks
from trackrelay.worker.celery import app
from trackrelay.worker.delivery import lease, shard_queue
from trackrelay.worker.telemetry import log_setup

log_setup.configure()
tasks.resources = lambda: type("Resources", (), {"redis": None, "guard": None})
shard_queue.choose_shard = lambda client, shard: shard
deliver = app.tasks["trackrelay.deliver"]

def unavailable(shard, resources):
    body = "canary-body"
    raise ConnectionError("canary-host refused")

def broken(shard, resources):
    body = b'{"email": "canary@example.com"}'
    raise ValueError("canary@example.com is not a number")

for run_shard in (unavailable, broken):
    lease.run_shard = run_shard
    run_shard.__globals__["__name__"] = "__main__"
    deliver.apply(args=[0])
report()
"""


def sent(script: str, *arguments: str) -> list[dict[str, Any]]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")
    }
    run = subprocess.run(
        [sys.executable, "-c", SETUP + script, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def last(event: dict[str, Any]) -> dict[str, Any]:
    return event["exception"]["values"][-1]


def test_an_application_s_expected_errors_are_no_crashes_and_no_report_has_a_payload() -> None:
    unavailable, refused, fault, own = sent(APPLICATION)

    for event, kind in ((unavailable, "QueueUnavailableError"), (refused, "InvalidOperationError")):
        assert last(event)["type"] == kind
        assert event["level"] == "warning"
        assert last(event)["mechanism"]["handled"]
        assert event["fingerprint"] == ["trackrelay", kind]
    assert (last(fault)["type"], fault["level"]) == ("KeyError", "error")
    assert last(fault)["stacktrace"]["frames"][-1]["function"] == "fails"
    assert last(own)["value"] == "the application's own message"
    assert last(own)["stacktrace"]["frames"][-1]["vars"]["own"] == "'kept'"
    for event in (unavailable, refused, fault):
        for each in event["exception"]["values"]:
            assert "canary" not in each["value"]
            if "stacktrace" not in each:
                assert each["value"] == HIDDEN
                continue
            frames = each["stacktrace"]["frames"]
            first = next(
                index
                for index, frame in enumerate(frames)
                if frame["module"].startswith("trackrelay")
            )
            assert not any(frame.get("vars") for frame in frames[first:])


def test_a_worker_reports_what_is_unexpected_and_nothing_of_an_outage() -> None:
    (event,) = sent(WORKER)

    assert last(event)["type"] == "ValueError"
    assert event["level"] == "error"
    text = json.dumps([each.get("vars") for each in last(event)["stacktrace"]["frames"]])
    assert "canary" not in text + last(event)["value"]


def test_without_our_function_an_outage_is_reported_and_payloads_too() -> None:
    """What the function is for; if this fails, it may not be needed any more."""
    events = sent(WORKER, "plain")

    assert len(events) == 2
    assert "canary" in json.dumps(events)


@pytest.mark.parametrize("event", [{}, {"exception": None}, {"exception": {"values": []}}])
def test_an_event_of_any_shape_is_passed_on(event: dict[str, Any]) -> None:
    assert before_send(event, {}) is event
