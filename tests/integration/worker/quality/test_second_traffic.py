"""The rules judge the traffic of a business that they were not written for."""

import pytest

from tests.support.retention_traffic import NOW
from tests.support.second_check import (
    BY_TIME,
    DURATION_S,
    FOUND,
    INFO,
    Traffic,
    is_found,
    worse_than_info,
)
from tests.support.second_traffic import ACCIDENTS, Accident
from trackrelay.worker.quality.all_rules import findings
from trackrelay.worker.quality.rules import Finding, Severity

CALLS, CALLS_OF_WEEKS = 30_000, 12_000
#: The rarest accidents happen to one call in this many, so that short traffic has some.
RAREST = 300
AT_ONCE, WEEKS = Traffic(CALLS, rarest=RAREST), Traffic(CALLS_OF_WEEKS, DURATION_S, rarest=RAREST)


def keys(found: list[Finding]) -> list[str]:
    return [each.key for each in found]


def test_every_accident_is_judged() -> None:
    names = [each.name for each in ACCIDENTS]
    assert sorted(names) == sorted([*FOUND, *INFO])


@pytest.mark.parametrize("traffic", [AT_ONCE, Traffic(CALLS, seed=2), WEEKS])
def test_clean_traffic_has_no_finding_above_info(traffic: Traffic) -> None:
    assert keys(worse_than_info(traffic.catalog)) == []


@pytest.mark.parametrize("accident", ACCIDENTS, ids=lambda each: each.name)
def test_an_accident_is_found(accident: Accident) -> None:
    traffic = WEEKS if accident.name in BY_TIME else AT_ONCE
    found = findings(traffic.after(accident), NOW)
    assert is_found(accident, found), keys(found)
    severities = {each.severity for each in found if is_found(accident, [each])}
    assert (severities == {Severity.INFO}) == (accident.name in INFO)


def test_accidents_that_happen_together_do_not_hide_each_other() -> None:
    together = [each for each in ACCIDENTS if not each.alone]
    found = findings(AT_ONCE.after_all(together), NOW)
    hidden = {each.name for each in together if not is_found(each, found)}
    assert hidden - BY_TIME == set()
