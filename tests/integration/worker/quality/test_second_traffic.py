"""The rules judge the traffic of a business that they were not written for."""

import copy
from dataclasses import replace
from functools import cache

import pytest

from tests.support.catalog_memory import observed, spread
from tests.support.retention_traffic import NOW, Call
from tests.support.second_traffic import ACCIDENTS, Accident, clean, with_accidents
from trackrelay.worker.quality.all_rules import findings
from trackrelay.worker.quality.catalog import Catalog
from trackrelay.worker.quality.rules import Finding, Severity

CALLS = 30_000
#: The rarest accidents happen to one call in this many, so that short traffic has some.
RAREST = 300

#: The rule that finds each accident.
FOUND = {
    "camel customer id": "Q201",
    "customer id as a number": "Q101",
    "e-mail spelt twice": "Q201",
    "camel anonymous id": "Q201",
    "anonymous id lost": "Q301",
    "anonymous id as a number": "Q101",
    "state of orders lost": "Q301",
    "orders count as text": "Q101",
    "site overwrites consent": "Q501",
    "app overwrites consent": "Q501",
    "CRM overwrites value": "Q503",
    "site sets plan status": "Q503",
    "consent as text": "Q101",
    "checkout without value": "Q304",
    "cart without product": "Q302",
    "shipment without order": "Q301",
    "pascal product viewed": "Q203",
    "product view": "Q203",
    "checkout began": "Q204",
    "second purchase event": "Q204",
    "order placed": "Q204",
    "old order name": "Q203",
    "order complete": "Q203",
    "camel product id": "Q201",
    "sku in refactoring": "Q201",
    "cart value as text": "Q101",
    "price as text": "Q101",
    "price with its sign": "Q101",
    "quantity as text": "Q101",
    "genres as one text": "Q103",
    "key with a blank": "Q201",
    "flag as a number": "Q101",
    "article number as a number": "Q101",
    "order in a blob": "Q104",
    "view in a blob": "Q302",
    "items as JSON text": "Q103",
    "items by number": "Q601",
    "items by key": "Q601",
    "total as an object": "Q103",
    "discount renamed": "Q301",
    "category renamed": "Q301",
    "plan name became an object": "Q103",
    "no orders": "Q205",
    "one l": "Q203",
    "nightly orders": "Q401",
    "late order": "Q401",
    "slow cancellation": "Q401",
    "refunds of last week": "Q402",
    "milliseconds": "Q403",
    "two hours ahead": "Q403",
    "an hour behind": "Q401",
    "time zero": "Q402",
    "created in text": "Q102",
    "order's milliseconds": "Q102",
    "end of trial in text": "Q102",
    "test event": "Q602",
    "undefined event": "Q602",
    "template as a name": "Q602",
    "undefined attribute": "Q602",
    "order without anything": "Q302",
    "order in the name": "Q601",
    "password": "Q603",
    "null total": "Q105",
    "pixel's orders": "Q206",
    "consent lost": "Q305",
    "brand lost at times": "Q305",
    "orders stopped": "Q306",
    "app's carts stopped": "Q306",
    "renewals stopped": "Q307",
    "end of playback renamed": "Q307",
}
#: Accidents that only time shows, and how long the traffic goes on.
BY_TIME = {each for each, rule in FOUND.items() if rule in ("Q305", "Q306", "Q307")}
DURATION_S, CALLS_OF_WEEKS, FLUSHES = 20 * 86_400.0, 12_000, 60
#: What no rule finds yet: only a plan, or the counts of single days, would show most of it.
NOT_YET = {
    "no timezone",
    "no lifetime value",
    "country null at times",
    "no state of orders",
    "orders of the site only",
    "a few refunds of the app",
    "cancellation in the browser",
    "no refunds",
    "no cancellations",
}


def worse_than_info(catalog: Catalog) -> list[Finding]:
    return [each for each in findings(catalog, NOW) if each.severity != Severity.INFO]


@cache
def clean_catalog(over_s: float = 0.0) -> Catalog:
    if not over_s:
        return observed(clean(CALLS, seed=1))
    calls = spread(clean(CALLS_OF_WEEKS, seed=1), over_s)
    return observed(calls, CALLS_OF_WEEKS // FLUSHES, together=1)


@cache
def calls_by_event(count: int) -> dict[str, list[Call]]:
    calls: dict[str, list[Call]] = {}
    for call in clean(count, seed=1):
        calls.setdefault(call.name, []).append(call)
    return calls


@cache
def found_after(accident: Accident) -> list[Finding]:
    """Return the findings if the accident happens alone."""
    over_s = DURATION_S if accident.name in BY_TIME else 0.0
    count = CALLS_OF_WEEKS if over_s else CALLS
    calls = spread(copy.deepcopy(calls_by_event(count)[accident.event]), over_s)
    spoilt = replace(accident, every=min(accident.every, RAREST))
    # As many writes as all calls together would cause.
    flush_after = max(1, (count // FLUSHES if over_s else 5_000) * len(calls) // count)
    sent = with_accidents(calls, [spoilt], len(calls))
    concerned = observed(sent, flush_after, together=1 if over_s else min(500, flush_after))
    others = {
        subject: stats
        for subject, stats in clean_catalog(over_s).subjects.items()
        if subject.name != accident.event
    }
    return worse_than_info(Catalog({**others, **concerned.subjects}))


def is_found(accident: Accident, rule: str = "") -> bool:
    return any(
        (not rule or each.rule.id == rule)
        and any(subject in each.subject for subject in accident.subject)
        for each in found_after(accident)
    )


def keys(found: list[Finding]) -> list[str]:
    return [each.key for each in found]


def test_every_accident_is_judged() -> None:
    names = [each.name for each in ACCIDENTS]
    assert sorted(names) == sorted([*FOUND, *NOT_YET])


@pytest.mark.parametrize("seed", [1, 2])
def test_clean_traffic_has_no_finding_above_info(seed: int) -> None:
    assert keys(worse_than_info(observed(clean(CALLS, seed)))) == []


def test_clean_traffic_of_weeks_has_no_finding_above_info() -> None:
    assert keys(worse_than_info(clean_catalog(DURATION_S))) == []


@pytest.mark.parametrize("accident", ACCIDENTS, ids=lambda each: each.name)
def test_an_accident_is_found(accident: Accident) -> None:
    if accident.name in NOT_YET:
        assert not is_found(accident), "a rule has learnt it: move it from NOT_YET to FOUND"
    else:
        assert is_found(accident, FOUND[accident.name]), keys(found_after(accident))


def test_accidents_that_happen_together_do_not_hide_each_other() -> None:
    spoilt = [replace(each, every=min(each.every, RAREST)) for each in ACCIDENTS if not each.alone]
    found = worse_than_info(observed(with_accidents(clean(CALLS, seed=1), spoilt, CALLS)))
    hidden = {
        each.name
        for each in spoilt
        if each.name in FOUND.keys() - BY_TIME
        and not any(
            FOUND[each.name] == one.rule.id and any(s in one.subject for s in each.subject)
            for one in found
        )
    }
    assert hidden == set()
