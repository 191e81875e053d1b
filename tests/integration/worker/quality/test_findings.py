"""The accidents of retention programs are found in a stream of traffic, and named rightly."""

from functools import cache

import pytest

from tests.support.catalog_memory import observed
from tests.support.retention_traffic import (
    NOW,
    Accident,
    Call,
    accidents,
    clean_calls,
    spoilt_calls,
)
from trackrelay.worker.quality.all_rules import RULES, findings
from trackrelay.worker.quality.rules import Finding, Severity

#: Calls of a stream; a rare accident happens to one of 500.
CALLS = 40_000


@cache
def found_in_spoilt_stream() -> tuple[Finding, ...]:
    return tuple(findings(observed(spoilt_calls(CALLS, accidents())), NOW))


@pytest.mark.parametrize("accident", accidents(), ids=lambda each: f"{each.rule} {each.subject}")
def test_an_accident_is_found(accident: Accident) -> None:
    found = found_in_spoilt_stream()
    assert [
        each for each in found if each.rule.id == accident.rule and accident.subject in each.subject
    ], [each.key for each in found]


def test_clean_traffic_has_no_finding_above_info() -> None:
    found = findings(observed(clean_calls(CALLS)), NOW)
    assert [each for each in found if each.severity != Severity.INFO] == []


def test_every_rule_is_tried() -> None:
    quiet = {rule.id for rule in RULES.values() if rule.severity == Severity.INFO}
    # The shop of the accidents reports its orders, and has no weeks, no people and no verdicts.
    elsewhere = {"Q205", "Q305", "Q306", "Q307", "Q308", "Q309"}
    elsewhere |= {rule for rule in RULES if rule.startswith(("Q7", "Q8", "Q9"))}
    assert {each.rule for each in accidents()} == set(RULES) - quiet - elsewhere


def test_a_shop_that_does_not_report_purchases_is_found() -> None:
    calls = (each for each in clean_calls(CALLS) if each.name != "order_completed")
    found = [each for each in findings(observed(calls), NOW) if each.severity != Severity.INFO]
    assert [each.key for each in found] == ["Q205 checkout_started"]


def test_the_worst_findings_come_first() -> None:
    severities = [each.severity for each in found_in_spoilt_stream()]
    order = [Severity.ERROR, Severity.WARNING, Severity.INFO]
    assert severities == sorted(severities, key=order.index)


def alarms(calls: list[Call]) -> list[str]:
    found = findings(observed(calls), NOW)
    return [each.key for each in found if each.severity != Severity.INFO]


def event(name: str, source: str = "shop", **attributes: object) -> Call:
    return Call(source, "person.event", name, attributes)


@pytest.mark.parametrize(
    "calls",
    [
        # A number without a fraction is an integer in JSON.
        [event("bought", total=1), event("bought", total=1.5)],
        # Optional values.
        [event("bought", note=None), event("bought", note="x"), event("bought", note="")],
        # Article numbers that happen to be digits.
        [event("bought", sku="1042"), event("bought", sku="A-1")],
        # Both names in one event mean two things.
        [event("bought", sku="A-1", product_id="7")] * 2,
        [event("bought", address1="x")] + [event("bought", address2="x")] * 9,
        # One application tells the two events apart.
        [event("order_placed"), event("order_completed")],
        [event("order_shipped", a=1)] + [event("order_skipped", b=1)] * 9,
        # Different events may use one word in different ways.
        [event("bought", value=1), event("rated", value="good")],
    ],
)
def test_natural_variety_is_no_finding(calls: list[Call]) -> None:
    assert alarms(calls * 200) == []


def test_single_late_orders_of_several_applications_are_found_together() -> None:
    calls = [
        Call(source, "person.event", "order_completed", {}, late_s=3_600 if late else 1)
        for source in ("shop", "kiosk")
        for late in [True, True] + [False] * 98
    ]
    assert alarms(calls) == ["Q401 order_completed"]
    assert alarms(calls[:100]) == []
