"""Accidents of identity are found in a shop's traffic of weeks, and nothing in clean traffic."""

import pytest
import sqlalchemy as sa

from tests.support.harness import Harness
from tests.support.identity_check import findings_of
from tests.support.people_traffic import ACCIDENTS, Accident

CALLS = 6_000
#: These hide others.
ALONE = {"ids of the CRM", "join lost", "kiosk without state", "orders of the pixel"}
TOGETHER = tuple(each for each in ACCIDENTS if each.name not in ALONE)


def test_clean_traffic_has_no_finding_above_info(harness: Harness) -> None:
    assert findings_of(harness.engine, CALLS, ()) == []


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


def test_no_value_of_the_people_is_in_the_tables(harness: Harness) -> None:
    findings_of(harness.engine, 500, ())
    tables = ("identities", "catalog", "catalog_days", "findings", "state")
    with harness.engine.connect() as connection:
        text = "".join(
            str(connection.execute(sa.text(f"SELECT * FROM trackrelay_{table}")).all())
            for table in tables
        )
    assert [
        each for each in ("@example.com", "visitor-", "device-", "O-", "+4930") if each in text
    ] == []
