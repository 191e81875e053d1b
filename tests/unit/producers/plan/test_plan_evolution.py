"""Which changes of a plan break what works with the old one."""

from __future__ import annotations

import pytest

from trackrelay.plan import parse_plan
from trackrelay.plan.plan_evolution import plan_changes

OLD = """\
plan: 1
name: shop
events:
  order_completed:
    aliases: [purchase]
    properties:
      total: {type: number, minimum: 0}
      channel: {enum: [web, app]}
      coupon: {type: string}
      items: {type: array, items: {type: object, properties: {sku: {type: string}}}}
    required: [total]
attributes:
  plan: {type: string}
objects:
  product: {id: 1, attributes: {sku: {type: string}}}
"""


def changed(old: str, new: str) -> list[tuple[bool, str]]:
    assert old in OLD
    changes = plan_changes(parse_plan(OLD), parse_plan(OLD.replace(old, new)))
    return [(each.is_breaking, str(each)) for each in changes]


def test_the_same_plan_has_no_changes() -> None:
    assert plan_changes(parse_plan(OLD), parse_plan(f"# comment\n{OLD}")) == ()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("  order_completed:", "  order_complete:", "events.order_completed is gone"),
        ("aliases: [purchase]", "aliases: []", "has no alias purchase any more"),
        ("aliases: [purchase]", "owner: backend", "is owned by backend now"),
        ("      coupon: {type: string}\n", "", "events.order_completed.coupon is gone"),
        ("required: [total]", "required: [total, coupon]", "coupon is required now"),
        (
            "{type: number, minimum: 0}",
            "{type: integer, minimum: 0}",
            "is integer now; it was number",
        ),
        ("{type: number, minimum: 0}", "{type: number, minimum: 1}", "has the minimum 1 now"),
        ("{type: number, minimum: 0}", "{type: number, minimum: 0, maximum: 9}", "the maximum 9"),
        ("[web, app]", "[web]", "may not be app any more"),
        ("coupon: {type: string}", "coupon: {type: string, pattern: '^A'}", "has another pattern"),
        ("{sku: {type: string}}}}\n    req", "{sku: {type: integer}}}}\n    req", "items[].sku is"),
        ("    required:", "    additional_properties: false\n    required:", "is false now"),
        ("      coupon:", "      new: {type: string}\n      coupon:", ""),
        ("  plan: {type: string}", "  plan: {type: boolean}", "attributes.plan is boolean now"),
        ("{id: 1,", "{id: 2,", "objects.product has the id 2 now"),
    ],
)
def test_what_narrows_or_removes_is_breaking(old: str, new: str, expected: str) -> None:
    (first, *_) = changed(old, new)
    assert first[0] is bool(expected)
    assert expected in first[1]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("attributes:\n", "  viewed: {}\nattributes:\n", "events.viewed is new"),
        ("aliases: [purchase]", "aliases: [purchase, bought]", "has the new alias bought"),
        ("aliases: [purchase]", "aliases: [purchase]\n    enforcement: fix", "the enforcement fix"),
        ("aliases: [purchase]", "aliases: [purchase]\n    lateness: 5m", "lateness changed"),
        ("      coupon:", "      new: {type: string}\n      coupon:", "is a new property"),
        ("required: [total]", "required: []", "total is optional now"),
        ("{type: number, minimum: 0}", "{type: [number, string], minimum: 0}", "number or string"),
        ("{type: number, minimum: 0}", "{type: number}", "has no minimum any more"),
        ("[web, app]", "[web, app, fax]", "may be fax now"),
        ("{enum: [web, app]}", "{}", "may have any value now"),
        ("coupon: {type: string}", "coupon: {type: string, description: x}", "another description"),
        ("  plan: {type: string}", "  plan: {type: string, privacy: personal}", "privacy personal"),
    ],
)
def test_what_adds_or_widens_is_additive(old: str, new: str, expected: str) -> None:
    found = changed(old, new)
    assert found
    assert not any(breaking for breaking, _ in found)
    assert expected in found[0][1]


def test_a_new_required_property_is_breaking() -> None:
    found = changed("required: [total]", "  new: {type: string}\n    required: [total, new]")
    assert found[0][0]


def test_breaking_changes_come_first() -> None:
    text = OLD.replace("      coupon: {type: string}\n", "").replace("name: shop", "name: shop")
    new = text.replace("attributes:\n  plan", "attributes:\n  age: {}\n  plan", 1)
    changes = plan_changes(parse_plan(OLD), parse_plan(new))
    assert [each.is_breaking for each in changes] == [True, False]
