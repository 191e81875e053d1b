"""Accidents of identity are found in a shop's traffic of weeks, and nothing in clean traffic."""

import pytest

from tests.support.harness import Harness
from tests.support.identity_check import findings_of
from tests.support.people_traffic import ACCIDENTS, Accident

CALLS = 4_000
#: These hide others.
ALONE = {"ids of the CRM", "join lost", "kiosk without state"}
TOGETHER = tuple(each for each in ACCIDENTS if each.name not in ALONE)


def test_clean_traffic_has_no_finding_above_info_and_leaves_no_name(harness: Harness) -> None:
    assert findings_of(harness.engine, CALLS, ()) == []
    rows = str(harness.rows("SELECT * FROM trackrelay_identities"))
    values = ("@example.com", "visitor-", "device-", "+4930", "id:1", "id:5")
    assert [each for each in values if each in rows] == []


def test_accidents_that_happen_together_are_all_found(harness: Harness) -> None:
    found = findings_of(harness.engine, CALLS, TOGETHER)
    missed = [each.name for each in TOGETHER if not is_found(each, found)]
    assert missed == [], found


@pytest.mark.parametrize("name", sorted(ALONE))
def test_an_accident_is_found(harness: Harness, name: str) -> None:
    (accident,) = (each for each in ACCIDENTS if each.name == name)
    found = findings_of(harness.engine, CALLS, (accident,))
    assert is_found(accident, found), found


def is_found(accident: Accident, found: list[str]) -> bool:
    return any(each.startswith(accident.finding) for each in found)
