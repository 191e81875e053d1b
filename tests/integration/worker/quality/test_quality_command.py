"""`trackrelay catalog` and `trackrelay quality`, on what an observer wrote into Postgres."""

from __future__ import annotations

import json

import pytest

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.retention_traffic import NOW, Call
from trackrelay.worker.quality.catalog_observer import OBSERVED, CatalogObserver
from trackrelay.worker.storage import catalog_rows


def observe(harness: Harness, *calls: Call) -> None:
    """Write calls into the catalog."""
    observer = CatalogObserver(
        lambda observations: catalog_rows.add(harness.engine, observations, OBSERVED)
    )
    observer.note([call.job() for call in calls], NOW)
    observer.flush()


def bought(source: str = "shop", **attributes: object) -> Call:
    return Call(source, "person.event", "order_completed", attributes)


@pytest.fixture
def spoilt(harness: Harness) -> Harness:
    """A catalog in which a total is a number and a string."""
    observe(harness, *[bought(total=12.5, items=[{"sku": "A"}])] * 9, bought(total="12.50"))
    return harness


def test_the_catalog_lists_names_and_the_attributes_of_one(
    spoilt: Harness, run: CommandLine
) -> None:
    listed = run("catalog")
    assert "order_completed" in listed.out
    assert "1 name, 10 jobs observed" in listed.out
    details = run("catalog", "order_completed").out
    assert "number 90\N{NO-BREAK SPACE}%, number in a string 10\N{NO-BREAK SPACE}%" in details
    assert "items[].sku" in details
    document = json.loads(run("catalog", "--json").out)
    assert document["names"][0]["attributes"][-1]["types"] == {"number": 9, "number in a string": 1}
    assert "shop,person.event,order_completed,total,number,9,10," in run("catalog", "--csv").out


def test_an_empty_catalog_says_so(harness: Harness, run: CommandLine) -> None:
    assert "Nothing was observed yet" in run("catalog").out
    assert "Nothing was observed yet" in run("quality").out


def test_changes_are_listed_without_unchanged_fields(spoilt: Harness, run: CommandLine) -> None:
    assert "order_completed" in run("catalog", "--changed-since", "1h").out
    assert json.loads(run("catalog", "nothing", "--json").out)["names"] == []


def test_a_finding_opens_is_acknowledged_and_closes(spoilt: Harness, run: CommandLine) -> None:
    report = run("quality").out
    assert "Q101 error  order_completed.total: one attribute, several types" in report
    assert "9 × number from shop" in report
    assert run("quality", "--fail-if", "error").code == 1

    assert "1 finding acknowledged" in run("quality", "--ack", "Q101").out
    assert "No finding is open. 1 more finding with --all." in run("quality").out
    assert "acknowledged until" in run("quality", "--all").out
    assert run("quality", "--fail-if", "error").code == 0

    with spoilt.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM trackrelay_catalog WHERE type LIKE '%%in a string'")
    document = json.loads(run("quality", "--json").out)
    assert document == {
        "findings": [],
        "closed_in_the_last_week": ["Q101 order_completed.total"],
    }


def test_a_summary_in_markdown_escapes_names(harness: Harness, run: CommandLine) -> None:
    observe(harness, bought(**{"a_*b": 1}), bought(**{"a_*b": "x"}))
    assert r"- **order\_completed.a\_\*b**: one attribute" in run("quality", "--markdown").out


def test_a_rule_without_an_open_finding_cannot_be_acknowledged(
    spoilt: Harness, run: CommandLine
) -> None:
    refused = run("quality", "--ack", "Q999")
    assert refused.code == 1
    assert "there is no open finding 'Q999'" in refused.err
