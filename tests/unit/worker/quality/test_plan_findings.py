"""What the plan has and nobody sends; and accidents that only a plan can call wrong."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import msgspec
import pytest

from tests.support.catalog_memory import observed
from tests.support.retention_traffic import NOW
from tests.support.second_check import INFO
from tests.support.second_traffic import ACCIDENTS, Accident, clean, with_accidents
from trackrelay.plan.plan_checker import PlanChecker
from trackrelay.plan.plan_loader import parse_plan
from trackrelay.plan.plan_model import Plan
from trackrelay.plan.plan_text import plan_text
from trackrelay.worker.quality.catalog import Catalog
from trackrelay.worker.quality.plan_draft import draft_plan
from trackrelay.worker.quality.plan_findings import PATIENCE_S, unsent_findings

WEEK_AGO = NOW - PATIENCE_S
CALLS = 3_000


@cache
def plan() -> Plan:
    """What `plan init` makes of the clean traffic."""
    draft = draft_plan(observed(clean(CALLS, seed=1), together=100), "streaming")
    return parse_plan(plan_text(draft.document))


def unsent(
    catalog: Catalog, planned_at: float = WEEK_AGO, first_seen: float = WEEK_AGO
) -> list[str]:
    for each in catalog.subjects.values():
        each.first_seen = first_seen
    return [
        f"{each.severity} {each.key}"
        for each in unsent_findings(plan(), catalog, lambda _: planned_at, NOW)
    ]


def catalog_after(accident: Accident) -> Catalog:
    calls = with_accidents(clean(CALLS, seed=1), [accident], CALLS)
    return observed(calls, together=100)


@pytest.mark.parametrize(
    "accident",
    [each for each in ACCIDENTS if each.name in INFO or each.name == "a few refunds of the app"],
    ids=lambda each: each.name,
)
def test_a_plan_finds_what_rules_can_only_mention(accident: Accident) -> None:
    if INFO.get(accident.name) in ("Q207", "Q310"):
        (found,) = unsent(catalog_after(accident))
        assert found.startswith("warning Q713 ")
        assert accident.subject[0] in found
        return
    checker, spoilt = PlanChecker(plan()), replace(accident, every=min(accident.every, 20))
    violations = [
        each
        for call in with_accidents(clean(CALLS, seed=1), [spoilt], CALLS)
        if call.name == accident.event
        for each in checker.violations(
            call.operation, msgspec.json.decode(call.job().body), call.source
        )
    ]
    assert {(each.subject, each.kind, each.expected) for each in violations} == {
        (accident.event, "not_owner", "the source backend")
    }


def test_what_is_planned_is_missed_after_a_week_and_not_sooner() -> None:
    without_refunds = [each for each in clean(CALLS, seed=1) if each.name != "refund_created"]
    catalog = observed(without_refunds, together=100)
    assert unsent(catalog) == ["warning Q713 refund_created"]
    assert unsent(catalog, planned_at=WEEK_AGO + 60) == []
    assert unsent(catalog, first_seen=WEEK_AGO + 60) == []
    assert unsent(observed(without_refunds[:150])) == []
    assert unsent(observed(clean(CALLS, seed=1), together=100)) == []
