"""The checklist: what proves an item, what keeps it open, and what a confirmation changes."""

from __future__ import annotations

from typing import Any

import pytest

from trackrelay.plan import parse_plan
from trackrelay.worker.quality import plan_rules, rules
from trackrelay.worker.quality.catalog import Attribute, Catalog, SubjectStats, TypeCount
from trackrelay.worker.quality.catalog_observer import Subject
from trackrelay.worker.quality.checklist import TITLES, Facts, Item, ItemState, checklist
from trackrelay.worker.quality.rehearsal_report import ReportError, read_report
from trackrelay.worker.quality.rules import Finding
from trackrelay.worker.storage.checklist_records import (
    ChecklistRecord,
    Confirmation,
    RehearsalProof,
)
from trackrelay.worker.storage.queries.checklist_query import NamedJobs, OpenLetters
from trackrelay.worker.storage.queries.verification_overview import VerificationOverview

NOW = 1_800_000_000.0
DAY_S = 86_400.0
PLAN = """
plan: 1
name: shop
events:
  order_completed:
    description: An order was paid.
    properties: {total: {type: number}}
    required: [total]
attributes:
  email: {type: string}
"""


def catalog(*stats: SubjectStats) -> Catalog:
    return Catalog({each.subject: each for each in stats})


def observed(operation: str, name: str = "", *paths: str, late: int = 0) -> SubjectStats:
    """A hundred jobs from the shop."""
    attributes = {
        path: Attribute(path, [TypeCount("string", 100, 1, 100, 0, NOW)]) for path in paths
    }
    lateness = {"late 5": 100 - late, "late 3600": late}
    return SubjectStats(
        Subject("shop", operation, name),
        jobs=100,
        last_seen=NOW,
        attributes=attributes,
        lateness=lateness,
    )


def item(name: str, **facts: Any) -> Item:
    return next(each for each in checklist(Facts(now=NOW, **facts)) if each.name == name)


def finding(rule: rules.Rule, subject: str) -> Finding:
    return Finding(rule=rule, subject=subject, evidence=())


def test_with_nothing_known_everything_is_open_and_says_what_to_do() -> None:
    items = checklist(Facts(now=NOW))
    assert [each.name for each in items] == list(TITLES)
    assert {each.state for each in items} == {ItemState.OPEN}
    assert all(each.remedy for each in items)


@pytest.mark.parametrize(("by_email", "state"), [(20, ItemState.PROVED), (200, ItemState.OPEN)])
def test_one_id_is_proved_by_how_jobs_name_people(by_email: int, state: ItemState) -> None:
    jobs = [NamedJobs("id", "shop", 1_000), NamedJobs("email", "erp", by_email)]
    found = item("canonical_id", named_jobs=jobs)
    assert found.state is state
    assert ("200 from erp name them by email" in found.objections) is (state is ItemState.OPEN)


def test_a_plan_proves_what_it_describes_and_names_what_it_does_not() -> None:
    plan = parse_plan(PLAN)
    known = catalog(
        observed("person.event", "order_completed"),
        observed("person.identify", "", "email", "anonymous_id"),
    )
    for name in ("attribute_map", "taxonomy"):
        assert item(name, catalog=known, plan=plan).state is ItemState.PROVED
        assert item(name, catalog=known).objections == ("no tracking plan is in force",)
    unknown = catalog(
        observed("anonymous.event", "seen"), observed("person.identify", "", "email", "phone")
    )
    assert item("taxonomy", catalog=unknown, plan=plan).objections == ("not in the plan: seen",)
    objections = item("attribute_map", catalog=unknown, plan=plan).objections
    assert objections == ("not in the plan: phone",)


def test_what_violates_the_plan_keeps_the_item_open_that_it_is_about() -> None:
    of_event = finding(plan_rules.OTHER_TYPE, "order_completed.total")
    of_people = finding(plan_rules.OTHER_OWNER, "person.identify.email")
    known = catalog(
        observed("person.event", "order_completed"), observed("person.identify", "", "email")
    )
    for wrong, open_item, proved_item in (
        (of_event, "taxonomy", "attribute_map"),
        (of_people, "attribute_map", "taxonomy"),
    ):
        facts = {"catalog": known, "plan": parse_plan(PLAN), "findings": [wrong]}
        assert item(open_item, **facts).state is ItemState.OPEN
        assert item(proved_item, **facts).state is ItemState.PROVED


def test_an_attribute_of_several_applications_needs_an_owner() -> None:
    identifies = observed("person.identify", "", "email")
    other = observed("person.identify", "", "email")
    other.subject = Subject("erp", "person.identify", "")
    found = item("attribute_map", catalog=catalog(identifies, other), plan=parse_plan(PLAN))
    assert found.objections == ("without an owner, among several applications: email",)


def test_purchases_and_refunds_in_time_are_proved_and_a_rival_event_is_not() -> None:
    both = catalog(
        observed("person.event", "order_completed"), observed("person.event", "refund_created")
    )
    found = item("server_side", catalog=both)
    assert found.state is ItemState.PROVED
    assert found.evidence[0].startswith("100 order_completed from shop, 100")
    rival = finding(rules.RIVAL_EVENTS, "order_completed, purchase")
    assert item("server_side", catalog=both, findings=[rival]).state is ItemState.OPEN
    late = finding(rules.LATE, "order_completed from shop")
    assert item("server_side", catalog=both, findings=[late]).state is ItemState.OPEN
    elsewhere = finding(rules.LATE, "product_viewed from shop")
    assert item("server_side", catalog=both, findings=[elsewhere]).state is ItemState.PROVED
    only_purchases = catalog(observed("person.event", "order_completed"))
    assert "no refund was observed" in item("server_side", catalog=only_purchases).objections


def test_the_join_is_proved_by_identifies_that_have_an_anonymous_id() -> None:
    views = observed("anonymous.event", "product_viewed")
    assert (
        "no identify joins them to a person"
        in item("merge_plan", catalog=catalog(views)).objections
    )
    joined = catalog(views, observed("person.identify", "", "email", "anonymous_id"))
    assert item("merge_plan", catalog=joined).state is ItemState.PROVED
    nobody = catalog(observed("person.event", "order_completed"))
    assert item("merge_plan", catalog=nobody).state is ItemState.NOT_APPLICABLE


def test_a_rehearsal_proves_a_campaign_only_with_and_without_its_message() -> None:
    def proved(**campaigns: tuple[int, int]) -> Item:
        proof = RehearsalProof("ci", NOW, NOW + DAY_S, campaigns, {"buyers": (1, 1)})
        return item("cart_recovery", record=ChecklistRecord(rehearsal=proof))

    assert proved(cart=(2, 1)).state is ItemState.PROVED
    assert proved(cart=(2, 0)).state is ItemState.OPEN
    assert proved(cart=(2, 0)).objections == ("cart was rehearsed only with a message",)
    assert proved(cart=(2, 1), news=(1, 0)).state is ItemState.PROVED


def test_segments_need_people_inside_and_outside() -> None:
    def checked(**segments: tuple[int, int]) -> ItemState:
        proof = RehearsalProof("ci", NOW, NOW + DAY_S, {}, segments)
        return item("segments", record=ChecklistRecord(rehearsal=proof)).state

    assert checked(buyers=(1, 2)) is ItemState.PROVED
    assert checked(buyers=(1, 2), lost=(1, 0)) is ItemState.OPEN


def test_monitoring_is_proved_by_verification_and_by_dead_letters_that_somebody_repairs() -> None:
    running = VerificationOverview(last_run=NOW - 60, verified=500)
    fresh = OpenLetters(2, NOW - DAY_S)
    assert item("monitoring", verification=running, letters=fresh).state is ItemState.PROVED
    old = OpenLetters(2, NOW - 30 * DAY_S)
    assert "2 dead letters are open, the oldest for 30 days" in (
        item("monitoring", verification=running, letters=old).objections
    )
    silent = VerificationOverview(last_run=NOW - DAY_S)
    assert item("monitoring", verification=silent, letters=fresh).state is ItemState.OPEN
    lost = VerificationOverview(last_run=NOW, open={"missing": 3})
    assert item("monitoring", verification=lost).state is ItemState.OPEN


def test_a_confirmation_closes_what_no_data_proves_and_hides_no_proof() -> None:
    given = {
        name: Confirmation("proved", "in our handbook", "ada@web-1", NOW, NOW + DAY_S)
        for name in ("taxonomy", "canonical_id")
    }
    facts: dict[str, Any] = {
        "record": ChecklistRecord(given),
        "named_jobs": [NamedJobs("id", "shop", 10)],
    }
    assert item("taxonomy", **facts).state is ItemState.PROVED
    assert item("taxonomy", **facts).evidence[0] == "ada@web-1 says: in our handbook"
    assert item("canonical_id", **facts).evidence[0].startswith("100")


def test_a_report_is_read_line_by_line() -> None:
    lines = [
        '{"campaign": "cart", "sent": true, "why": "sent"}',
        '{"campaign": "cart", "sent": false, "why": "unless"}',
        '{"campaign": "cart", "sent": false, "why": "no trigger"}',
        "",
        '{"segment": "buyers", "inside": false}',
    ]
    assert read_report(lines) == ({"cart": (1, 1)}, {"buyers": (0, 1)})


@pytest.mark.parametrize(
    "line", ["[]", "{", '{"campaign": 7, "sent": true, "why": ""}', "[" * 9_999]
)
def test_a_line_that_no_assertion_writes_is_refused(line: str) -> None:
    with pytest.raises(ReportError, match="line 1 is no line"):
        read_report([line])
