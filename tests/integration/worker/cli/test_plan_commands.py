"""`trackrelay plan`: draft a plan from the catalog, apply it, compare, look, go back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.in_process_worker import Worker
from trackrelay import operations
from trackrelay.worker.quality import catalog_observer
from trackrelay.worker.storage import plan_violations


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands look for the plan."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "trackrelay-plan.yaml"


def send(harness: Harness, worker: Worker, *totals: Any) -> None:
    """Deliver orders, and write down what was observed and counted."""
    expected = len(harness.ledger_ids()) + len(harness.dead_ids()) + len(totals)
    for total in totals:
        harness.producer.track("42", "order_completed", {"order_id": "canary-A", "total": total})
    worker.work_off(lambda: len(harness.ledger_ids()) + len(harness.dead_ids()) >= expected)
    for each in (worker.resources.observer, worker.resources.plan):
        assert each
        each.flush()


def test_a_plan_is_drafted_applied_compared_changed_and_withdrawn(
    harness: Harness, worker: Worker, run: CommandLine, file: Path
) -> None:
    assert "No plan was ever applied" in run("plan", "status").out
    assert "is empty" in run("plan", "init").only_line()
    send(harness, worker, 1.5, 2.5, 3)
    drafted = run("plan", "init", "--name", "shop")
    assert f"{file.name} has 1 event and 0 attributes." in drafted.out
    assert "--force replaces it" in run("plan", "init").only_line()
    assert run("plan", "init", "-", "--name", "shop").out == file.read_text()
    assert "keeps to shop" in run("plan", "diff").out
    assert "no plan is in force" in run("plan", "diff", "--applied").only_line()

    assert "would be put into force" in run("plan", "apply", "--dry-run").out
    assert "No plan was ever applied" in run("plan", "status").out
    assert "shop is in force as version 1." in run("plan", "apply").out
    assert "Nothing was changed" in run("plan", "apply").out

    send(harness, worker, "12.50", 7)
    found = run("plan", "diff", "--applied", "--exit-code")
    assert found.code == 1
    assert "20 % number in a string; planned: number" in found.out
    shown = run("plan", "status").out
    assert "  total  1 × string that holds a number from tests; expected number" in shown
    assert "delivered" in shown
    (violation,) = run("plan", "status", "--json").json["violations"]
    assert (violation["kind"], violation["jobs"], violation["source"]) == ("type", 1, "tests")
    assert "shop, version 1; violations since yesterday: 1 delivered" in run("status").out
    quality = run("quality").out
    assert "Q705 error  order_completed.total: another type than the planned one" in quality
    assert "canary" not in quality + shown + found.out

    file.write_text(file.read_text().replace("enforcement: warn", "enforcement: dead_letter"))
    assert "version 2" in run("plan", "apply").out
    send(harness, worker, "12.50")
    (dead,) = harness.dead_ids()
    details = run("dead-letters", "show", dead).out
    assert "attributes.total" in details
    assert f"replay --id {dead} --set attributes.total=VALUE" in details

    narrow = file.read_text().replace("type: number", "type: integer")
    file.write_text(narrow)
    refused = run("plan", "apply")
    assert refused.code == 1
    assert "1 breaking change" in refused.only_line()
    overlapped = run("plan", "apply", "--overlap", "1h", "--json").json
    assert (overlapped["version"], overlapped["is_new"]) == (3, True)
    assert [each["in_force"] for each in run("plan", "status", "--json").json["versions"]] == [
        True,
        True,
        False,
    ]
    assert run("plan", "show").out.rstrip("\n") == narrow.rstrip("\n")
    assert "enforcement: warn" in run("plan", "show", "1").out
    assert "there is no version 9" in run("plan", "show", "9").only_line()

    assert "Ended: version 2 and 3." in run("plan", "withdraw", "--yes").out
    assert "No plan is in force" in run("plan", "withdraw").out
    assert "No plan is in force" in run("plan", "status").out
    assert "Q7" not in run("quality", "--all").out


def test_a_plan_that_is_wrong_is_not_applied(
    harness: Harness, run: CommandLine, file: Path
) -> None:
    assert "cannot be read" in run("plan", "apply").only_line()
    file.write_text("plan: 1\nname: shop\nevents:\n  a: {owner: 7}\n")
    line = run("plan", "apply").only_line()
    assert line.startswith("trackrelay-plan.yaml:4: events.a.owner")
    assert harness.rows("SELECT * FROM trackrelay_plans") == []
    assert run("plan", "apply", "--overlap", "90d").code == 2


def test_a_stored_plan_that_cannot_be_read_is_reported_and_replaced(
    harness: Harness, worker: Worker, run: CommandLine, file: Path
) -> None:
    file.write_text("plan: 1\nname: shop\nevents:\n  order_completed: {}\n")
    run("plan", "apply")
    with harness.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trackrelay_plans SET text = 'plan: 9', digest = 'x'")
    send(harness, worker, 1)
    shown = run("plan", "status").out
    assert "It cannot be read here" in shown
    assert "cannot read version 1" in shown
    assert "Q701 error  version 1" in run("quality").out
    assert "cannot read the tracking plan" in run("status").out
    applied = run("plan", "apply")
    assert "shop is in force as version 2." in applied.out
    assert "version 1 cannot be read" in applied.err
    assert json.loads(run("quality", "--json").out)["findings"] == []


def test_an_application_that_invents_events_is_one_finding(
    harness: Harness, run: CommandLine, file: Path
) -> None:
    file.write_text("plan: 1\nname: shop\nevents:\n  order_completed: {}\n")
    run("plan", "apply")
    counts = [
        plan_violations.ViolationCount(
            version=1,
            source=source,
            subject=f"event_{number}",
            path="",
            kind="unplanned_event",
            action="warn",
            expected="a planned event",
            actual="an event without a plan",
            count=1,
            jobs=("0" * 26,),
        )
        for source, events in (("mobile", 50), ("web", 2))
        for number in range(events)
    ]
    plan_violations.add(harness.engine, counts)
    found = [each["key"] for each in run("quality", "--json").json["findings"]]
    assert found == ["Q702 50 events from mobile", "Q702 event_0", "Q702 event_1"]
    document = run("plan", "status", "--json").json
    assert len(document["violations"]) == 52
    assert "32 more with --json" in run("plan", "status").out


def test_with_a_plan_it_is_found_what_nobody_sends_and_who_should_not_send(
    harness: Harness,
    worker: Worker,
    run: CommandLine,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # On a fast machine, the observer would look at some of the jobs only.
    monkeypatch.setattr(catalog_observer, "MAX_JOBS_PER_S", 1e6)
    plan = """
plan: 1
name: shop
events:
  order_completed: {owner: backend}
  refund_created: {owner: backend}
attributes:
  country: {type: string}
  timezone: {type: string, owner: backend}
"""
    file.write_text(plan)
    assert run("plan", "apply").code == 0
    jobs = harness.producer.enqueue_many(
        [
            operation
            for number in range(220)
            for operation in (
                operations.track(str(number), "order_completed"),
                operations.identify(str(number), {"country": "DE"}),
            )
        ]
    )
    worker.work_off(lambda: len(harness.ledger_ids()) == jobs)
    for each in (worker.resources.observer, worker.resources.plan):
        assert each
        each.flush()
    assert "Q713" not in run("quality").out

    with harness.engine.begin() as connection:
        for table, column in (("plans", "applied_at"), ("catalog", "first_seen")):
            connection.exec_driver_sql(
                f"UPDATE trackrelay_{table} SET {column} = now() - interval '8 days'"
            )
    # Another version does not make it new; what it adds is.
    file.write_text(f"{plan}  birthday: {{type: string}}\n")
    assert run("plan", "apply").code == 0
    found = run("quality", "--json").json["findings"]
    assert {(each["id"], each["subject"]) for each in found if each["id"] == "Q713"} == {
        ("Q713", "refund_created"),
        ("Q713", "person.identify.timezone"),
    }
    harness.producer.track("1", "order_completed")
    worker.work_off(lambda: not harness.stream_length())
    assert worker.resources.plan
    worker.resources.plan.flush()
    assert "Q708 error  order_completed: written by an application" in run("quality").out
