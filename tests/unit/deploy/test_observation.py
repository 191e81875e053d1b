"""The dashboard and the alert rules: metrics exist, rules are tested, links lead somewhere."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from trackrelay.worker.cli.metrics.metric_table import METRICS

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "trackrelay.json").read_text())
RULES = yaml.safe_load((PROMETHEUS / "trackrelay.rules.yml").read_text())["groups"][0]["rules"]
TESTS = (PROMETHEUS / "trackrelay.rules.test.yml").read_text()

LABELS: dict[str, set[str]] = {}
for metric in METRICS:
    LABELS[metric.full_name] = set(metric.labels)
    if metric.kind == "histogram":
        LABELS[f"{metric.full_name}_bucket"] = {*metric.labels, "le"}

EXPRESSIONS = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_and_label_of_a_query_exists(expression: str) -> None:
    found = re.findall(r"(trackrelay_\w+)(?:\{([^}]*)\})?", expression)
    assert found
    for name, selectors in found:
        assert set(re.findall(r"(\w+)=", selectors)) <= LABELS[name]
    grouped = {
        label
        for labels in re.findall(r"by \(([^)]*)\)", expression)
        for label in labels.replace(" ", "").split(",")
    }
    assert grouped <= {label for name, _ in found for label in LABELS[name]}


def test_every_metric_is_shown_or_raises_an_alert() -> None:
    used = {name for each in EXPRESSIONS for name in re.findall(r"trackrelay_\w+", each)}
    unused = {
        metric.full_name
        for metric in METRICS
        if not {metric.full_name, f"{metric.full_name}_bucket"} & used
    }
    assert (
        unused
        == {
            "trackrelay_collection_duration_seconds",
            "trackrelay_last_success_timestamp_seconds",
            "trackrelay_unfinished_forget_requests",
        }
        - used
    )


def test_every_rule_fires_in_a_test_and_names_a_runbook_entry_that_exists() -> None:
    for rule in RULES:
        assert rule["alert"] in TESTS
        assert rule["labels"]["severity"] in ("page", "ticket")
        path, _, anchor = rule["annotations"]["runbook_url"].partition("/main/")[2].partition("#")
        headings = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
        assert not anchor or anchor in slugs, rule["alert"]


def test_panels_do_not_overlap() -> None:
    cells: list[tuple[int, int]] = []
    for panel in DASHBOARD["panels"]:
        place: dict[str, Any] = panel["gridPos"]
        cells += [
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
