"""Every operation goes the whole way, and its request is as Customer.io's description says."""

import datetime as dt
from collections import Counter
from typing import Any

import pytest

from tests.support.canaries import (
    CANARY_ANONYMOUS_ID,
    CANARY_ATTRIBUTE,
    CANARY_EMAIL,
    CANARY_EVENT_DATA,
    CANARY_PHONE,
)
from tests.support.harness import Harness
from trackrelay import ObjectRef, Person, Producer
from trackrelay.operations.registry import BY_NAME

ACME = ObjectRef("1", "acme")
NOW = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)

V1_PATHS = {
    "/api/v1/events",
    "/api/v1/customers/{identifier}/events",
    "/api/v1/segments/{segment_id}/add_customers",
    "/api/v1/segments/{segment_id}/remove_customers",
    "/api/v1/forms/{form_id}/submit",
    "/api/v1/metrics",
    "/unsubscribe/{delivery_id}",
}


def say_everything(to: Producer) -> list[str]:
    """One of each; returns the jobs' ids."""
    ada, grace = Person(email=CANARY_EMAIL), Person(id="grace")
    return [
        to.identify(
            "42",
            {"plan": CANARY_ATTRIBUTE, "born_at": NOW},
            anonymous_id=CANARY_ANONYMOUS_ID,
            relationships=[ACME],
        ),
        to.identify(ada, {"name": "Ada"}, update_only=True, timestamp=NOW),
        to.track(
            "42", "bought", {"x": CANARY_EVENT_DATA}, person_attributes={"last_bought_at": NOW}
        ),
        to.page("42", "https://example.com/", {"referrer": "x"}),
        to.screen(Person(phone=CANARY_PHONE), "home"),
        to.track("42", "essay", {"text": "x" * 40_000}),
        to.track(Person(anonymous_id=CANARY_ANONYMOUS_ID), "browsed", {"sku": 1}),
        to.page(Person(anonymous_id=CANARY_ANONYMOUS_ID), "/shop"),
        to.screen(Person(anonymous_id=CANARY_ANONYMOUS_ID), "cart"),
        to.track_anonymous(None, "invited", {"recipient": CANARY_EMAIL}),
        to.add_device("42", "token-1", "ios", last_used=NOW, attributes={"app": "2.1"}),
        to.delete_device("42", "token-1"),
        to.identify_object(ACME, {"name": "Acme"}, relationships=[grace]),
        to.add_relationships("42", [ACME], attributes={"role": "admin"}),
        to.delete_relationships("42", [ACME]),
        to.add_relationships(ACME, [grace, ada]),
        to.delete_relationships(ACME, [grace]),
        to.entity(
            {
                "type": "object",
                "action": "identify_anonymous",
                "identifiers": {"object_type_id": "1", "object_id": "acme"},
                "cio_relationships": [{"identifiers": {"anonymous_id": CANARY_ANONYMOUS_ID}}],
            }
        ),
        to.entity(
            {
                "type": "delivery",
                "action": "event",
                "identifiers": {"id": "RPIyMTM6OjEyMzQ="},
                "name": "opened",
                "attributes": {"device_token": "token-1"},
            }
        ),
        *to.add_to_segment(7, ["42", "grace"]),
        *to.remove_from_segment(7, [ada]),
        to.submit_form("contact", grace, {"topic": "hello"}),
        to.report_metric(
            "RPIyMTM6OjEyMzQ=", "bounced", recipient=CANARY_EMAIL, reason="full", timestamp=NOW
        ),
        to.unsubscribe("RPIyMTM6OjEyMzQ="),
        to.delete_object(ACME),
        to.suppress(grace),
        to.unsuppress(grace),
        to.merge(primary="42", secondary=ada),
        to.delete_person("42"),
    ]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_every_operation_is_delivered_once_and_as_described(
    harness: Harness, start_worker: Any, pool: str
) -> None:
    start_worker({**harness.settings, "TRACKRELAY_MERGE_DELAY": "1s"}, pool=pool, concurrency=2)
    jobs = say_everything(harness.producer)
    harness.wait_delivered(jobs, timeout=40)
    harness.wait_settled()
    assert not harness.dead_ids()

    rows = harness.rows("SELECT id, operation FROM trackrelay_ledger")
    assert {row.operation for row in rows} == set(BY_NAME)
    summary = harness.sandbox.summary()
    assert set(summary["by_path"]) >= V1_PATHS | {"/api/v2/entity"}, summary["by_path"]
    assert summary["duplicates_ignored"] == summary["rejected"] == 0
    assert max(Counter(effect["id"] for effect in harness.effects() if effect["id"]).values()) == 1


def test_the_identify_that_goes_with_an_event_arrives_just_ahead_of_it(
    working_harness: Harness,
) -> None:
    harness = working_harness
    job = harness.producer.track(
        "42", "bought", {"total": 5}, person_attributes={"orders": 1}, idempotency_key="A-1"
    )
    harness.producer.track(
        "42", "bought", {"total": 5}, person_attributes={"orders": 1}, idempotency_key="A-1"
    )
    harness.wait_delivered([job])
    harness.wait_settled()
    assert [(effect["action"], effect["name"]) for effect in harness.effects("id:42")] == [
        ("identify", None),
        ("event", "bought"),
    ]
    assert len(harness.ledger_ids()) == 2


def test_an_identify_takes_the_time_of_its_stream_entry_and_keeps_it_through_retries(
    harness: Harness, start_worker: Any
) -> None:
    harness.sandbox.add_fault(kind="status", status=503, times=1)
    harness.producer.identify("42", {"plan": "pro"})
    entry = harness.redis.xrange(next(iter(harness.redis.scan_iter("trackrelay:*:live"))))[0][0]
    start_worker(harness.settings, pool="threads", concurrency=2)
    harness.wait_settled(timeout=30)
    (effect,) = harness.effects("id:42")
    assert effect["timestamp"] == int(entry.partition(b"-")[0]) // 1000
