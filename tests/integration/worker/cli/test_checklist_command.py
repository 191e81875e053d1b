"""`trackrelay checklist`: from an empty installation to confirmed, rehearsed and observed items."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.retention_traffic import NOW, Call
from trackrelay.worker.quality.catalog_observer import OBSERVED, CatalogObserver
from trackrelay.worker.storage import catalog_rows, plans
from trackrelay.worker.storage.plans import NewPlan


def states(run: CommandLine) -> dict[str, str]:
    document = json.loads(run("checklist", "--json").out)
    return {each["name"]: each["state"] for each in document["items"]}


def observe(harness: Harness, *calls: Call) -> None:
    observer = CatalogObserver(
        lambda observations: catalog_rows.add(harness.engine, observations, OBSERVED)
    )
    observer.note([call.job() for call in calls], NOW)
    observer.flush()


def test_items_are_proved_confirmed_withdrawn_and_counted(
    harness: Harness, run: CommandLine, tmp_path: Path
) -> None:
    assert set(states(run).values()) == {"open"}
    failed = run("checklist", "--fail-if", "open>0")
    assert failed.code == 1
    assert "8 items open: canonical_id, attribute_map" in failed.err
    assert run("checklist", "--fail-if", "open>8").code == 0
    assert run("checklist", "--fail-if", "closed>8").code == 2

    observe(
        harness,
        Call("shop", "person.event", "order_completed", {"total": 1}),
        Call("shop", "person.event", "refund_created", {"total": 1}),
    )
    with harness.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO trackrelay_ledger"
            " (id, key, operation, source, enqueued_at, delivered_at, attempts)"
            " SELECT lpad(n::text, 26, '0'), 'id:' || n, 'person.event', 'shop', now(), now(), 1"
            " FROM generate_series(1, 50) n"
        )
    found = states(run)
    assert found["server_side"] == found["canonical_id"] == "proved"
    assert found["merge_plan"] == "not applicable"

    report = tmp_path / "rehearsal.jsonl"
    lines: list[dict[str, Any]] = [
        {"campaign": "cart\x1b[31m", "sent": True, "why": "sent"},
        {"campaign": "cart\x1b[31m", "sent": False, "why": "unless"},
    ]
    report.write_text("\n".join(map(json.dumps, lines)))
    screen = run("checklist", "--rehearsal", str(report)).out
    assert "\x1b[31m" not in screen
    assert "1 × sent, 1 × held back" in screen
    assert states(run)["cart_recovery"] == "proved"
    report.write_text("{}")
    assert (
        "line 1 is no line of a rehearsal's report"
        in run("checklist", "--rehearsal", str(report)).err
    )

    assert "say with --note" in run("checklist", "--confirm", "taxonomy").err
    run("checklist", "--confirm", "taxonomy", "--note", "see the handbook")
    run("checklist", "--not-applicable", "segments", "--note", "no segments")
    assert (states(run)["taxonomy"], states(run)["segments"]) == ("proved", "not applicable")
    run("checklist", "--withdraw", "taxonomy")
    assert states(run)["taxonomy"] == "open"
    assert run("checklist", "--withdraw", "taxonomy").code == 1
    run("checklist", "--confirm", "taxonomy", "--note", "soon over", "--until", "0s")
    assert states(run)["taxonomy"] == "open"


def test_a_plan_in_force_is_read_and_one_that_cannot_be_read_is_named(
    harness: Harness, run: CommandLine
) -> None:
    observe(harness, Call("shop", "person.event", "order_completed", {"total": 1}))

    def apply(text: str) -> None:
        with harness.engine.begin() as connection:
            plans.apply(connection, NewPlan("shop", text, text[:64]), timedelta(0), "ada")

    apply("plan: 1\nname: shop\nevents: {order_completed: {description: An order was paid.}}")
    assert states(run)["taxonomy"] == "proved"
    apply("plan: 1\nevents: 7")
    assert "the plan in force" in run("checklist").out
    assert states(run)["taxonomy"] == "open"
