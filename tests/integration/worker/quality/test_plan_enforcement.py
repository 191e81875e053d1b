"""Workers compare jobs with the tracking plan that is in force, and do what it says."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from tests.support.harness import Harness
from tests.support.in_process_worker import (
    BUSY,
    SHARDS,
    FakeApi,
    Worker,
    child_holding,
    close_breakers,
    end_of,
    expire_lease,
    make_due,
    shard_of_person,
)
from trackrelay import Producer, operations
from trackrelay.operations.keys import shard_of
from trackrelay.plan.plan_checker import PlanChecker
from trackrelay.plan.plan_loader import parse_plan
from trackrelay.worker.dead_letters.eligibility import ReplayPolicy
from trackrelay.worker.dead_letters.patch import Patch
from trackrelay.worker.dead_letters.replay_batches import Replayer
from trackrelay.worker.storage import plan_violations, plans
from trackrelay.worker.storage.plans import NewPlan
from trackrelay.worker.storage.shard_layout import redistribute_backlog
from trackrelay.worker.track_api.responses import Answer

PLAN = """
plan: 1
name: shop
enforcement: {enforcement}
additional_events: true
events:
  order_completed:
    aliases: [purchase]
    lateness: 10m
    properties:
      order_id: {{type: string, aliases: [orderId]}}
      total: {{type: number}}
    required: [order_id]
attributes:
  accepts_marketing: {{type: boolean, owner: backend}}
"""


def put_into_force(
    harness: Harness, enforcement: str = "fix", *, text: str = "", overlap_s: float = 0
) -> None:
    """Apply a plan, as the command does."""
    plan = parse_plan(text or PLAN.format(enforcement=enforcement))
    with harness.engine.begin() as connection:
        new = NewPlan(plan.name, plan.text, plan.digest)
        assert plans.apply(connection, new, timedelta(seconds=overlap_s), "ada@here")


def counts(harness: Harness, worker: Worker) -> Counter[tuple[str, str, str]]:
    """What was counted: kind and place, and what was done."""
    assert worker.resources.plan
    worker.resources.plan.flush()
    found: Counter[tuple[str, str, str]] = Counter()
    for row in harness.rows("SELECT * FROM trackrelay_plan_violations"):
        found[row.kind, f"{row.subject}.{row.path}", row.action] += row._mapping["count"]
    return found


def documents(api: FakeApi) -> list[dict[str, Any]]:
    """What Customer.io took, in order."""
    return [each for sent in api.sent if sent.ok for each in sent.documents]


def replay(worker: Worker, job: str, *sets: str) -> list[Any]:
    """Repair a dead letter and replay it."""
    policy = ReplayPolicy(repair=Patch.parse(sets=sets))
    replayer = Replayer.of(worker.resources, who="ada")
    return [
        each.letter.id for outcome in replayer.replay([job], policy) for each in outcome.replays
    ]


def test_a_plan_warns_fixes_or_keeps_dead_letters_and_order_and_ids_stay(
    harness: Harness, worker: Worker, api: FakeApi
) -> None:
    bad = {"orderId": "A-1", "total": "12.50", "kept": 1.50}
    before = harness.producer.track("42", "purchase", bad)
    worker.work()
    put_into_force(harness, "warn")
    warned = harness.producer.track("42", "purchase", bad)
    worker.work()
    assert [each["name"] for each in documents(api)] == ["purchase", "purchase"]
    assert counts(harness, worker) == {
        ("alias_event", "purchase.", "warn"): 1,
        ("alias_property", "purchase.orderId", "warn"): 1,
        ("type", "purchase.total", "warn"): 1,
    }
    put_into_force(harness, "fix")
    fixed = harness.producer.track("42", "purchase", bad)
    harness.producer.identify("42", {"accepts_marketing": True, "plan": "pro"})
    worker.work()
    *_, event, person = documents(api)
    assert (event["id"], event["name"]) == (fixed, "order_completed")
    assert event["attributes"] == {"order_id": "A-1", "total": 12.5, "kept": 1.5}
    assert person["attributes"] == {"plan": "pro"}
    assert counts(harness, worker)["not_owner", "person.identify.accepts_marketing", "fix"] == 1
    note = harness.delivered(fixed).plan_note
    assert note == "total: string → number; orderId → order_id; purchase → order_completed"
    assert harness.delivered(warned).plan_note is None

    put_into_force(harness, "dead_letter")
    first = harness.producer.track("42", "viewed")
    refused = harness.producer.track("42", "order_completed", {"total": 12.5})
    last = harness.producer.track("42", "viewed")
    worker.work()
    assert [each.get("id") for each in documents(api)][-2:] == [first, last]
    letter = harness.dead(refused)
    assert (letter.reason, letter.field, letter.state) == ("plan", "attributes.order_id", "open")
    assert "order_completed.order_id" in letter.error
    assert counts(harness, worker)["missing", "order_completed.order_id", "dead_letter"] == 1
    assert harness.ledger_ids() >= {before, warned, fixed, first, last}
    assert refused not in harness.ledger_ids()

    # A repair is compared again: one that does not mend it is the same dead letter.
    assert replay(worker, refused, "attributes.coupon=X") == [refused]
    worker.work()
    assert harness.dead(refused).state == "open"
    assert replay(worker, refused, "attributes.order_id=A-9") == [refused]
    worker.work()
    assert harness.dead(refused).state == "delivered"
    assert documents(api)[-1]["attributes"]["order_id"] == "A-9"


def test_a_job_that_was_tried_is_sent_again_as_it_was_fixed_and_not_judged_anew(
    harness: Harness, worker: Worker, api: FakeApi
) -> None:
    put_into_force(harness)
    tried: list[Any] = []

    def busy(request: Any, found: list[dict[str, Any]]) -> Any:
        tried.append(found[0]["attributes"])
        return BUSY

    api.answers = busy
    job = harness.producer.track("42", "order_completed", {"orderId": "A-1", "total": "many"})
    worker.run_shard(shard_of_person("42"))
    put_into_force(harness, "dead_letter")
    api.answers = lambda request, found: None
    close_breakers(harness.redis)
    make_due(harness.engine)
    worker.run_shard(shard_of_person("42"))
    tried.append(documents(api)[-1]["attributes"])
    assert tried[1:] == tried[:-1]
    assert tried[0] == {"order_id": "A-1", "total": "many"}
    assert harness.delivered(job).plan_note == "orderId → order_id"
    assert counts(harness, worker) == {
        ("alias_property", "order_completed.orderId", "fix"): 1,
        ("type", "order_completed.total", "warn"): 1,
    }


def test_a_replay_that_is_fixed_and_fails_keeps_its_fix_in_the_backlog(
    harness: Harness, worker: Worker, api: FakeApi
) -> None:
    put_into_force(harness, "dead_letter")
    job = harness.producer.track("42", "order_completed", {"order_id": "A-1", "total": "7"})
    worker.work()
    assert harness.dead(job).reason == "plan"
    put_into_force(harness, "fix")
    api.answers = lambda request, found: BUSY
    replay(worker, job)
    worker.work()
    assert harness.waiting(job).body["attributes"]["total"] == 7
    with harness.engine.begin() as connection:
        plans.withdraw(connection)
    api.answers = lambda request, found: None
    close_breakers(harness.redis)
    make_due(harness.engine)
    worker.work()
    assert documents(api)[-1]["attributes"] == {"order_id": "A-1", "total": 7}
    assert harness.delivered(job).plan_note == "total: string → integer"


def test_what_waited_for_an_outage_to_end_meets_the_plan_of_that_moment(
    harness: Harness, worker: Worker, api: FakeApi
) -> None:
    api.answers = lambda request, found: BUSY
    first = harness.producer.track("42", "viewed")
    worker.run_shard(shard_of_person("42"), slice_s=0.1)
    waiting = harness.producer.track("42", "purchase", {"order_id": "A-1"})
    worker.run_shard(shard_of_person("42"), slice_s=0.1)
    assert harness.waiting(waiting).body["name"] == "purchase"
    put_into_force(harness)
    api.answers = lambda request, found: None
    close_breakers(harness.redis)
    make_due(harness.engine)
    worker.work_off(lambda: harness.backlog_size() == 0)
    assert harness.ledger_ids() == {first, waiting}
    assert documents(api)[-1]["name"] == "order_completed"


def test_a_job_that_waits_for_the_request_rate_is_counted_once(
    harness: Harness, worker: Worker, api: FakeApi
) -> None:
    put_into_force(harness)
    api.answers = lambda request, found: Answer(429, b"slow down")
    job = harness.producer.track("42", "purchase", {"order_id": "A", "total": "many"})
    worker.run_shard(shard_of_person("42"))
    assert harness.waiting(job).reason == "rate_limited"
    api.answers = lambda request, found: None
    close_breakers(harness.redis)
    make_due(harness.engine)
    worker.work_off(lambda: harness.delivered(job))
    assert counts(harness, worker) == {
        ("alias_event", "purchase.", "fix"): 1,
        ("type", "order_completed.total", "warn"): 1,
    }


def test_two_versions_may_be_in_force_and_a_withdrawn_one_is_not(
    harness: Harness, worker: Worker, api: FakeApi
) -> None:
    put_into_force(harness, "dead_letter")
    newer = PLAN.format(enforcement="dead_letter").replace("type: number", "type: string")
    put_into_force(harness, text=newer, overlap_s=3600)
    with harness.engine.connect() as connection:
        assert [each.version for each in plans.in_force(connection)] == [2, 1]
    old, new, neither = (
        harness.producer.track("42", "order_completed", {"order_id": "A", "total": total})
        for total in (12.5, "12.50", True)
    )
    worker.work()
    assert harness.ledger_ids() == {old, new}
    assert harness.dead_ids() == {neither}
    with harness.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trackrelay_plans SET in_force_until = now() WHERE version = 1"
        )
        connection.exec_driver_sql("UPDATE trackrelay_shards SET plan_version = plan_version + 1")
    ended = harness.producer.track("42", "order_completed", {"order_id": "A", "total": 12.5})
    worker.work()
    assert harness.dead(ended).reason == "plan"
    with harness.engine.begin() as connection:
        assert plans.withdraw(connection) == [2]
    free = harness.producer.track("42", "order_completed", {"total": True})
    worker.work()
    assert harness.delivered(free)


def test_a_plan_that_cannot_be_read_stops_nothing_and_is_reported(
    harness: Harness, worker: Worker
) -> None:
    put_into_force(harness, "dead_letter")
    with harness.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trackrelay_plans SET text = 'plan: 99', digest = 'other'"
        )
    job = harness.producer.track("42", "order_completed", {})
    with capture_logs() as logs:
        worker.work()
    assert harness.delivered(job)
    assert "plan_unreadable" in [line["event"] for line in logs]
    ((kind, _, _),) = counts(harness, worker)
    assert kind == "unreadable"


def test_without_the_table_jobs_are_delivered(harness: Harness, worker: Worker) -> None:
    put_into_force(harness, "dead_letter")
    with harness.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE trackrelay_plans RENAME TO away")
    job = harness.producer.track("42", "order_completed", {})
    worker.work()
    assert harness.delivered(job)
    with harness.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO trackrelay_plans")


def test_a_check_that_fails_harms_no_job(
    harness: Harness, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_into_force(harness, "dead_letter")
    violations = PlanChecker.violations

    def fails(self: Any, operation: str, document: Any, source: Any) -> Any:
        if document.get("name") == "poison":
            raise RecursionError
        return violations(self, operation, document, source)

    monkeypatch.setattr(PlanChecker, "violations", fails)
    poison = harness.producer.track("42", "poison")
    bad = harness.producer.track("42", "order_completed")
    good = harness.producer.track("42", "order_completed", {"order_id": "A"})
    worker.work()
    assert harness.ledger_ids() == {poison, good}
    assert harness.dead_ids() == {bad}


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_a_crashed_holder_may_have_sent_is_no_dead_letter_of_a_younger_plan(
    harness: Harness, worker: Worker, api: FakeApi, when: str
) -> None:
    if when == "before":
        put_into_force(harness, "dead_letter")
        with harness.engine.begin() as connection:
            connection.exec_driver_sql(
                "UPDATE trackrelay_plans SET applied_at = now() - interval '1 day'"
            )
    job = harness.producer.track("42", "order_completed", {"total": 1})
    shard = shard_of_person("42")
    with child_holding(harness.settings, shard, "after_read=kill") as pid:
        end_of(pid)
    expire_lease(harness.redis, shard)
    if when == "after":
        put_into_force(harness, "dead_letter")
    worker.work()
    assert bool(harness.dead(job)) == (when == "before")
    assert bool(harness.delivered(job)) == (when == "after")


def test_a_job_of_two_shards_is_fixed_and_counted_once(
    harness: Harness, worker: Worker, api: FakeApi
) -> None:
    put_into_force(harness)
    other = next(
        f"v{number}"
        for number in range(1000)
        if shard_of(f"anonymous:v{number}", SHARDS) != shard_of_person("42")
    )
    harness.producer.identify("42", {"accepts_marketing": True}, anonymous_id=other)
    worker.work_off(lambda: len(harness.ledger_ids()) == 1)
    (document,) = documents(api)
    assert "accepts_marketing" not in document["attributes"]
    assert list(counts(harness, worker).values()) == [1]


def test_another_number_of_shards_keeps_the_plan(harness: Harness) -> None:
    put_into_force(harness)
    with harness.engine.begin() as connection:
        redistribute_backlog(connection, 8, lambda row: [0])
    ((number,),) = harness.rows("SELECT DISTINCT plan_version FROM trackrelay_shards")
    assert number > 0


def test_late_events_are_counted_and_delivered_and_imports_are_not(
    harness: Harness, worker: Worker
) -> None:
    put_into_force(harness, "dead_letter")
    old = {"order_id": "A"}
    harness.producer.track("42", "order_completed", old, timestamp=1_700_000_000)
    importer = Producer(redis_url=harness.settings["TRACKRELAY_REDIS_URL"], source="import")
    event = operations.track("42", "order_completed", old, timestamp=1_700_000_000)
    importer.enqueue(event, lane="bulk")
    importer.close()
    harness.producer.track("42", "order_completed", old)
    worker.work_off(lambda: len(harness.ledger_ids()) == 3)
    assert counts(harness, worker) == {("late", "order_completed.", "warn"): 1}


def test_no_value_is_counted_and_the_table_is_bounded(
    harness: Harness, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_violations, "MAX_ROWS", 20)
    strict = PLAN.format(enforcement="warn").replace("additional_events: true", "")
    put_into_force(harness, text=strict)
    for number in range(60):
        harness.producer.track("canary-42", f"event_{number}", {"card": "canary-4111"})
    harness.producer.track(
        "canary-42", "order_completed", {"order_id": "canary-1", "total": "canary-2"}
    )
    worker.work_off(lambda: len(harness.ledger_ids()) == 61)
    assert sum(counts(harness, worker).values()) == 61
    rows = harness.rows("SELECT * FROM trackrelay_plan_violations")
    assert len(rows) <= 21
    assert "canary" not in str(rows)
    assert plan_violations.NO_ROOM in {row.kind for row in rows}


def test_while_postgres_refuses_the_counts_jobs_are_delivered_and_counts_stay(
    harness: Harness, worker: Worker
) -> None:
    put_into_force(harness)
    with harness.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE trackrelay_plan_violations RENAME TO away"))
    job = harness.producer.track("42", "purchase", {"order_id": "A"})
    worker.work()
    assert harness.delivered(job)
    assert worker.resources.plan
    worker.resources.plan.flush()
    with harness.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO trackrelay_plan_violations"))
    assert counts(harness, worker) == {("alias_event", "purchase.", "fix"): 1}
