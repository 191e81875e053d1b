"""A plan is drafted from the catalog, and compared with it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from trackrelay.plan.plan_loader import parse_plan
from trackrelay.plan.plan_text import plan_text
from trackrelay.worker.quality.catalog import Catalog, catalog_of
from trackrelay.worker.quality.plan_differences import DifferenceKind, differences
from trackrelay.worker.quality.plan_draft import Draft, draft_plan
from trackrelay.worker.quality.plan_findings import pair_findings
from trackrelay.worker.quality.planned_types import planned_type
from trackrelay.worker.storage.queries.catalog_query import CatalogRow

Types = Mapping[str, Mapping[str, int]]


def rows(source: str, operation: str, name: str, jobs: int, attributes: Types) -> list[CatalogRow]:
    """What the catalog has of one event or operation from one source."""

    def row(path: str, of_type: str, count: int) -> CatalogRow:
        return CatalogRow(
            source, operation, name, path, of_type, count, 100, 0, jobs, 1_000.0, 2_000.0
        )

    return [
        row("", "job", jobs),
        *(
            row(path, of_type, count)
            for path, types in attributes.items()
            for of_type, count in types.items()
        ),
    ]


@pytest.fixture
def catalog() -> Catalog:
    event = "person.event"
    return catalog_of(
        [
            *rows(
                "backend",
                event,
                "order_completed",
                100,
                {
                    "order_id": {"string": 100},
                    "total": {"number": 60, "integer": 30, "number in a string": 10},
                    "coupon": {"string": 40, "null": 60},
                    "items": {"list": 100},
                    "items[]": {"object": 100},
                    "items[].sku": {"string": 100},
                    "address": {"object": 100},
                    "address.city": {"string": 100},
                },
            ),
            *rows("mobile", event, "Order Completed", 5, {"orderId": {"string": 5}}),
            *rows("mobile", event, "undefined", 3, {}),
            *rows("backend", "person.identify", "", 80, {"accepts_marketing": {"boolean": 80}}),
            *rows("mobile", "person.identify", "", 80, {"plan": {"string": 79}, "_x": {"null": 1}}),
        ]
    )


@pytest.fixture
def draft(catalog: Catalog) -> Draft:
    return draft_plan(catalog, "shop")


def test_a_draft_has_types_required_properties_owners_and_spellings(draft: Draft) -> None:
    assert draft.document == {
        "plan": 1,
        "name": "shop",
        "enforcement": "warn",
        "events": {
            "order_completed": {
                "description": "",
                "aliases": ["Order Completed"],
                "properties": {
                    "address": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}},
                    },
                    "coupon": {"type": ["string", "null"]},
                    "items": {
                        "type": "array",
                        "items": {"type": "object", "properties": {"sku": {"type": "string"}}},
                    },
                    "order_id": {"type": "string", "aliases": ["orderId"]},
                    "total": {"type": "number"},
                },
                "required": ["order_id"],
            }
        },
        "attributes": {
            "accepts_marketing": {"type": "boolean", "owner": "backend"},
            "plan": {"type": "string", "owner": "mobile"},
        },
    }
    assert draft.remarks == [
        "undefined is left out: it is no name of an event",
        "order_completed is also sent as Order Completed",
        "order_completed.order_id is also sent as orderId",
        "order_completed.total is number here, and was 10 % number in a string",
    ]


def test_a_draft_can_be_read_and_differs_only_where_it_remarks(
    draft: Draft, catalog: Catalog
) -> None:
    plan = parse_plan(plan_text(draft.document))
    found = {(each.path, each.kind): each.text for each in differences(plan, catalog)}
    assert found == {
        ("", DifferenceKind.OTHER_NAME): "sent as Order Completed, 5 times from mobile",
        ("order_id", DifferenceKind.OTHER_NAME): "sent as orderId, 5 times",
        ("total", DifferenceKind.OTHER_TYPE): "10 % number in a string; planned: number",
        ("", DifferenceKind.NOT_PLANNED): "3 times from mobile",
    }


def test_differences_name_what_is_missing_foreign_nested_and_never_sent(catalog: Catalog) -> None:
    plan = parse_plan("""
plan: 1
name: shop
additional_events: true
events:
  never: {}
  order_completed:
    owner: mobile
    properties:
      order_id: {type: string}
      coupon: {type: string}
      items: {type: array, items: {type: object, properties: {sku: {type: integer}}}}
      total: {type: [number, string]}
      tax: {type: number}
      address: {}
      currency: {type: string}
    required: [order_id, total, currency]
attributes:
  accepts_marketing: {type: boolean, owner: mobile}
  plan: {type: boolean}
""")
    found = [
        (each.subject, each.path, each.kind.name, each.text) for each in differences(plan, catalog)
    ]
    order = "order_completed"
    assert found == [
        ("never", "", "NOT_OBSERVED", "no application sends it"),
        (order, "", "OTHER_SOURCE", "100 times from backend; owner: mobile"),
        (order, "coupon", "OTHER_TYPE", "60 % null; planned: string"),
        (order, "items[].sku", "OTHER_TYPE", "100 % string; planned: integer"),
        (order, "tax", "NOT_OBSERVED", "no application sends it"),
        (order, "currency", "NOT_OBSERVED", "no application sends it"),
        ("person.identify", "plan", "OTHER_TYPE", "100 % string; planned: boolean"),
        ("person.identify", "accepts_marketing", "OTHER_SOURCE", "from backend; owner: mobile"),
    ]


def test_an_event_without_the_state_that_must_change_is_a_finding(catalog: Catalog) -> None:
    plan = parse_plan("""
plan: 1
name: shop
events:
  order_completed: {changes: [accepts_marketing, last_order_at]}
attributes:
  accepts_marketing: {}
  last_order_at: {}
""")
    (found,) = pair_findings(plan, catalog)
    assert found.key == "Q710 order_completed.last_order_at"
    assert found.evidence == ("100 events were observed, and 0 identifies with last_order_at",)


@pytest.mark.parametrize(
    ("counts", "types", "accidents"),
    [
        ({"integer": 9, "number": 1}, ["number"], []),
        ({"integer": 9, "unix seconds": 1}, ["integer"], []),
        ({"number": 50, "number in a string": 50}, ["number"], ["number in a string"]),
        ({"boolean": 50, "boolean in a string": 50}, ["boolean"], ["boolean in a string"]),
        ({"number": 50, "string": 50}, ["number", "string"], []),
        ({"object": 99, "string": 1}, ["object"], ["string"]),
        ({"string": 5, "null": 95}, ["string", "null"], []),
        ({"null": 5}, [], []),
        ({}, [], []),
    ],
)
def test_a_planned_type_leaves_accidents_out(
    counts: dict[str, int], types: list[str], accidents: list[str]
) -> None:
    assert planned_type(counts) == (types, accidents)


@pytest.mark.parametrize(
    ("name", "types", "expected"),
    [
        ("last_order_at", {"unix seconds": 9, "null": 1}, "unix-seconds"),
        ("lastOrderDate", {"unix seconds": 9}, "unix-seconds"),
        # The number of an order may look like a time, and a time in milliseconds is none.
        ("order_number", {"unix seconds": 9}, None),
        ("last_order_at", {"unix milliseconds": 9}, None),
        ("last_order_at", {"unix seconds": 9, "integer": 1}, None),
    ],
)
def test_a_draft_knows_times(name: str, types: dict[str, int], expected: str | None) -> None:
    catalog = catalog_of(rows("backend", "person.identify", "", 10, {name: types}))
    schema = draft_plan(catalog, "shop").document["attributes"][name]
    assert schema.get("format") == expected
