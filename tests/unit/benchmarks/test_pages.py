"""Figures in the documentation are those of the results, and the tables can be read."""

import json
from pathlib import Path

import pytest

from benchmarks import pages, tables
from benchmarks.documents import found, replaced
from benchmarks.targets import TARGETS

RESULTS = json.loads(pages.RESULTS.read_text())


@pytest.mark.parametrize(("page", "name"), pages.SECTIONS)
def test_a_page_says_what_the_results_say(page: Path, name: str) -> None:
    assert found(page.read_text(), name) == pages.SECTIONS[page, name](RESULTS).strip()


def test_the_chart_shows_what_the_results_say() -> None:
    assert pages.CHART.read_text() == pages.picture(RESULTS)


def test_the_results_have_a_figure_for_every_target() -> None:
    assert not [target.name for target in TARGETS if target.name not in RESULTS[target.group]]


def test_the_table_of_a_terminal_is_readable_at_eighty_columns() -> None:
    lines = tables.for_terminal(tables.throughput_rows(RESULTS["throughput"])).splitlines()
    assert max(map(len, lines)) <= 80
    for run in RESULTS["throughput"]:
        assert any(
            line.startswith(f"{run['name']} ") and f"{run['delivered_per_s']:,.0f} " in line
            for line in lines
        )


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    page = "before\n<!-- measured: x -->\nold\n<!-- end of x -->\nafter\n"
    assert (
        replaced(page, "x", "new")
        == "before\n<!-- measured: x -->\nnew\n<!-- end of x -->\nafter\n"
    )
    with pytest.raises(ValueError, match="markers"):
        replaced(page, "y", "new")
