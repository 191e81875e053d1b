"""Tracking plans of Segment and RudderStack become plans of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trackrelay.plan import parse_plan
from trackrelay.plan.foreign_plans import ForeignPlanError, foreign_plan
from trackrelay.plan.plan_text import plan_text

ORDER = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "context": {"type": "object"},
        "properties": {
            "type": "object",
            "required": ["total"],
            "properties": {
                "total": {"type": ["number"], "description": "What was paid.", "labels": {}},
                "items": {"type": "array", "items": {"type": "object", "id": "/x"}},
                "rating": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
                "old": {"$ref": "#/definitions/x", "type": "string", "required": True},
            },
        },
    },
}
TRAITS = {"properties": {"traits": {"type": "object", "properties": {"age": {"type": "integer"}}}}}

SEGMENT_PUBLIC = {
    "data": {
        "trackingPlan": {"id": "tp_1", "name": "Kicks App"},
        "rules": [
            {"key": "Order Completed", "type": "TRACK", "version": 1, "jsonSchema": {}},
            {
                "key": "Order Completed",
                "type": "TRACK",
                "version": 2,
                "jsonSchema": ORDER | {"description": "An order."},
            },
            {"key": None, "type": "IDENTIFY", "version": 1, "jsonSchema": TRAITS},
            {"key": None, "type": "GROUP", "version": 1, "jsonSchema": TRAITS},
        ],
    }
}
SEGMENT_CONFIG = {
    "name": "workspaces/w/tracking-plans/rs_1",
    "display_name": "Kicks App",
    "rules": {
        "events": [
            {"name": "Order Completed", "description": "An order.", "version": 1, "rules": ORDER}
        ],
        "identify": TRAITS,
        "identify_traits": [],
    },
}
RUDDERSTACK = {
    "id": "tp_1",
    "name": "Kicks App",
    "version": 3,
    "events": [
        {
            "name": "Order Completed",
            "description": "An order.",
            "eventType": "track",
            "rules": ORDER,
        },
        {
            "name": "",
            "eventType": "identify",
            "rules": {
                "properties": {
                    "context": {"properties": {"traits": TRAITS["properties"]["traits"]}}
                }
            },
        },
    ],
}


@pytest.mark.parametrize("export", [SEGMENT_PUBLIC, SEGMENT_CONFIG, RUDDERSTACK])
def test_an_export_becomes_a_plan(export: Any) -> None:
    made = foreign_plan(json.dumps(export))
    plan = parse_plan(plan_text(made.document))
    event = plan.events["Order Completed"]
    assert event.description == "An order."
    assert event.required == ("total",)
    assert event.properties["total"].schema == {"type": "number"}
    assert event.properties["total"].description == "What was paid."
    assert event.properties["rating"].schema["exclusiveMinimum"] == 0
    assert event.properties["old"].schema == {"type": "string"}
    assert plan.attributes["age"].types == ("integer",)
    assert "left out: $ref of events.Order Completed.old" in made.notes


def test_the_plan_has_the_name_of_the_export() -> None:
    assert foreign_plan(json.dumps(SEGMENT_CONFIG)).document["name"] == "kicks-app"


def test_calls_that_have_no_place_are_named() -> None:
    assert "left out: the rules of group calls" in foreign_plan(json.dumps(SEGMENT_PUBLIC)).notes


@pytest.mark.parametrize("text", ["", "x", "[]", "{}", '{"rules": [1, null]}', "[" * 10_000])
def test_what_is_no_export_is_an_error(text: str) -> None:
    with pytest.raises(ForeignPlanError):
        foreign_plan(text)
