"""Operations are held against a plan: what is wrong is named by names and types."""

from __future__ import annotations

from typing import Any

import pytest

from trackrelay.plan import parse_plan
from trackrelay.plan.plan_checker import PlanChecker, ViolationKind

PLAN = """\
plan: 1
name: shop
enforcement: warn
sources: {legacy: off}
events:
  order_completed:
    owner: backend
    aliases: [purchase]
    enforcement: {sources: {mobile: dead_letter}}
    properties:
      order_id: {type: string, aliases: [orderId]}
      cart_value: {type: number}
      channel: {enum: [web, app]}
      items:
        type: array
        items: {type: object, properties: {price: {type: number}}}
    required: [order_id, cart_value]
  closed:
    properties: {sku: {type: string}}
    additional_properties: false
attributes:
  accepts_marketing: {type: boolean, owner: backend, enforcement: fix, aliases: [acceptsMarketing]}
  age: {type: [integer, 'null'], minimum: 0}
objects:
  product: {id: 1, attributes: {sku: {type: string}}, additional_attributes: false}
"""
CHECKER = PlanChecker(parse_plan(PLAN))
GOOD = {"order_id": "A-1", "cart_value": 12.5}


def of_event(
    data: Any, name: str = "order_completed", source: str | None = "backend"
) -> list[tuple[str, str, str, str]]:
    found = CHECKER.violations("person.event", {"name": name, "attributes": data}, source)
    return [(each.path, str(each.kind), each.expected, each.actual) for each in found]


def of_person(attributes: Any, source: str | None = "backend") -> list[tuple[str, str, str]]:
    found = CHECKER.violations("person.identify", {"attributes": attributes}, source)
    return [(each.path, str(each.kind), str(each.enforcement)) for each in found]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (GOOD, []),
        (GOOD | {"cart_value": 12, "more": None}, []),
        ({"cart_value": 1}, [("order_id", "missing", "string", "nothing")]),
        (
            GOOD | {"cart_value": "12.50"},
            [("cart_value", "type", "number", "string that holds a number")],
        ),
        (GOOD | {"cart_value": None}, [("cart_value", "type", "number", "null")]),
        (GOOD | {"order_id": 7}, [("order_id", "type", "string", "integer")]),
        (GOOD | {"channel": "fax"}, [("channel", "value", "one of web, app", "another string")]),
        (
            GOOD | {"items": [{"price": 1}, {"price": "x"}]},
            [("items[1].price", "type", "number", "string")],
        ),
        (
            {"orderId": "A-1", "cart_value": 1},
            [("orderId", "alias_property", "order_id", "orderId")],
        ),
        (
            {"orderId": 7, "cart_value": 1},
            [
                ("orderId", "alias_property", "order_id", "orderId"),
                ("orderId", "type", "string", "integer"),
            ],
        ),
        (
            GOOD | {"orderId": 7},
            [("orderId", "alias_property", "order_id", "orderId")],
        ),
    ],
)
def test_an_event_is_held_against_its_plan(data: Any, expected: list[Any]) -> None:
    assert of_event(data) == expected


def test_an_event_may_have_no_other_properties_if_the_plan_says_so() -> None:
    assert of_event({"sku": "a"}, "closed") == []
    assert of_event({"sku": "a", "skuu": "b"}, "closed") == [
        ("skuu", "unplanned_property", "a planned name", "a name without a plan")
    ]


def test_an_unplanned_event_is_a_violation_unless_the_plan_allows_it() -> None:
    assert [each[1] for each in of_event({}, "order_complete")] == ["unplanned_event"]
    allowing = PlanChecker(parse_plan("plan: 1\nname: s\nadditional_events: true"))
    assert allowing.violations("person.event", {"name": "anything"}, None) == ()


def test_an_event_under_an_alias_is_checked_as_the_planned_one() -> None:
    found = CHECKER.violations("person.event", {"name": "purchase", "attributes": {}}, "backend")
    assert [(each.kind, each.subject, each.target) for each in found] == [
        (ViolationKind.ALIAS_EVENT, "purchase", "order_completed"),
        (ViolationKind.MISSING, "purchase", ""),
        (ViolationKind.MISSING, "purchase", ""),
    ]


def test_another_source_than_the_owner_violates_the_plan() -> None:
    assert of_event(GOOD, source="mobile") == [
        ("", "not_owner", "the source backend", "the source mobile")
    ]
    assert of_event(GOOD, source=None) == [("", "not_owner", "the source backend", "no source")]


def test_a_checker_without_owners_does_not_ask_who_sends() -> None:
    checker = PlanChecker(parse_plan(PLAN), with_owners=False)
    document = {"name": "order_completed", "attributes": GOOD}
    assert checker.violations("person.event", document, None) == ()
    assert (
        checker.violations("person.identify", {"attributes": {"accepts_marketing": True}}, None)
        == ()
    )


def test_the_enforcement_is_that_of_the_event_for_the_source() -> None:
    document = {"name": "order_completed", "attributes": {}}
    found = CHECKER.violations("person.event", document, "mobile")
    assert {str(each.enforcement) for each in found} == {"dead_letter"}
    assert CHECKER.violations("person.event", document, "legacy") == ()
    assert CHECKER.violations("person.event", {"name": "unknown"}, "legacy") == ()


def test_attributes_of_people_have_owners_types_and_aliases() -> None:
    assert of_person({"accepts_marketing": True, "age": 3, "other": "x"}) == []
    assert of_person({"accepts_marketing": "yes"}) == [("accepts_marketing", "type", "fix")]
    assert of_person({"accepts_marketing": True}, "mobile") == [
        ("accepts_marketing", "not_owner", "fix")
    ]
    assert of_person({"acceptsMarketing": True}, "mobile") == [
        ("acceptsMarketing", "alias_property", "fix"),
        ("acceptsMarketing", "not_owner", "fix"),
    ]
    assert of_person({"age": -1}) == [("age", "value", "warn")]


def test_null_takes_an_attribute_away_whatever_its_type() -> None:
    assert of_person({"accepts_marketing": None}) == []


def test_another_source_may_not_take_an_owned_attribute_away() -> None:
    assert of_person({"accepts_marketing": None}, "mobile") == [
        ("accepts_marketing", "not_owner", "fix")
    ]


def test_objects_are_checked_by_the_number_of_their_type() -> None:
    def of_object(type_id: str, attributes: Any) -> list[str]:
        document = {"identifiers": {"object_type_id": type_id}, "attributes": attributes}
        found = CHECKER.violations("object.identify", document, None)
        return sorted(each.text for each in found)

    assert of_object("1", {"sku": "a", "_x": 1}) == []
    assert of_object("2", {"sku": 7}) == []
    assert of_object("1", {"sku": 7, "b": 1}) == [
        "object.identify product.b: expected a planned name, got a name without a plan",
        "object.identify product.sku: expected string, got integer",
    ]


@pytest.mark.parametrize(
    ("operation", "document"),
    [
        ("person.page", {"name": "order_completed", "attributes": {}}),
        ("person.delete", {}),
        ("person.event", {"name": ["a"], "attributes": {}}),
        ("person.event", {}),
        ("person.identify", {"attributes": [1]}),
        ("person.identify", {"attributes": {}}),
        ("object.identify", {"identifiers": "x", "attributes": {"sku": 1}}),
        ("unknown", {}),
    ],
)
def test_what_the_plan_does_not_cover_violates_nothing(
    operation: str, document: dict[str, Any]
) -> None:
    assert CHECKER.violations(operation, document, "backend") == ()


def test_no_value_is_in_a_violation() -> None:
    secret = "canary@example.com"
    data = {"order_id": [secret], "cart_value": secret, "channel": secret, "items": [secret]}
    found = CHECKER.violations(
        "person.event", {"name": "order_completed", "attributes": data}, secret
    )
    texts = [f"{each} {each.text}" for each in found if each.kind is not ViolationKind.NOT_OWNER]
    assert len(texts) == 4
    assert secret not in "".join(texts)
