"""A fix renames, converts and takes out what loses nothing, and leaves every other byte alone."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackrelay.operations.limits import OPERATION_BYTES
from trackrelay.plan.plan_checker import PlanChecker, Violation, ViolationKind
from trackrelay.plan.plan_loader import parse_plan
from trackrelay.plan.plan_model import Enforcement
from trackrelay.worker.quality.plan_fixes import converted, fix

CHECKER = PlanChecker(
    parse_plan("""
plan: 1
name: shop
enforcement: fix
events:
  order_completed:
    aliases: [purchase]
    properties:
      order_id: {type: string, aliases: [orderId]}
      total: {type: number}
      count: {type: integer}
      gift: {type: [boolean, "null"]}
      items: {type: array, items: {type: object, properties: {price: {type: number}}}}
attributes:
  consent: {type: boolean, owner: backend}
""")
)


def fixed(name: str = "order_completed", body: bytes = b"", **attributes: Any) -> Any:
    """What a fix makes of an event's body."""
    body = body or json.dumps({"name": name, "attributes": attributes}).encode()
    document = msgspec.json.decode(body)
    return fix(body, CHECKER.violations("person.event", document, "web"))


@pytest.mark.parametrize(
    ("value", "types", "expected"),
    [
        ("12.50", ["number"], 12.5),
        ("7", ["number"], 7),
        ("-7", ["integer"], -7),
        ("1700000000", ["integer"], 1_700_000_000),
        ("true", ["boolean"], True),
        ("False", ["boolean", "null"], False),
        (7, ["string"], "7"),
        ("12.5", ["integer"], None),
        ("007", ["number"], None),
        ("+49170", ["integer"], None),
        ("12,50", ["number"], None),
        (" 12", ["number"], None),
        ("", ["number"], None),
        ("1e999", ["number"], None),
        ("nan", ["number"], None),
        ("0.12345678901234567890123", ["number"], None),
        ("9007199254740993", ["integer"], None),
        ("yes", ["boolean"], None),
        ("1", ["boolean"], None),
        (True, ["string"], None),
        (12.5, ["string"], None),
        (None, ["number"], None),
        ([1], ["number"], None),
    ],
)
def test_a_value_is_converted_only_if_nothing_is_lost(
    value: Any, types: list[str], expected: Any
) -> None:
    found = converted(value, types)
    assert (found, type(found)) == (expected, type(expected))


def test_names_and_types_are_fixed_and_other_bytes_stay() -> None:
    body = (
        b'{"identifiers":{"id":"42"}, "name":"purchase","timestamp":17e8,"attributes":'
        b'{"orderId":"A","x":1.50,"total":"12.50","y":{"a" : 1e2},"items":[{"price":"3","z":1.0}]}}'
    )
    found = fixed(body=body)
    assert found.body == (
        b'{"identifiers":{"id":"42"},"name":"order_completed","timestamp":17e8,"attributes":'
        b'{"order_id":"A","x":1.50,"total":12.5,"y":{"a" : 1e2},"items":[{"price":3,"z":1.0}]}}'
    )
    assert found.notes == (
        "total: string → number",
        "items[0].price: string → integer",
        "orderId → order_id",
        "purchase → order_completed",
    )
    assert fixed(body=found.body) is None


def test_two_names_with_one_value_become_one_and_with_two_values_stay() -> None:
    assert json.loads(fixed(orderId="A", order_id="A").body)["attributes"] == {"order_id": "A"}
    assert fixed(orderId="A", order_id="B") is None


def test_an_attribute_of_another_application_is_taken_out() -> None:
    body = b'{"identifiers":{"id":"42"},"attributes":{"consent":true,"plan":"pro"}}'
    violations = CHECKER.violations("person.identify", msgspec.json.decode(body), "web")
    found = fix(body, violations)
    assert found
    assert found.body == b'{"identifiers":{"id":"42"},"attributes":{"plan":"pro"}}'
    assert found.notes == ("consent left out: it belongs to the source backend",)


def test_a_fix_that_would_need_another_endpoint_is_left_alone() -> None:
    room = OPERATION_BYTES - len(b'{"name":"purchase","attributes":{"x":""}}')
    assert fixed("purchase", x="y" * (room - 10)).notes
    body = json.dumps(
        {"name": "purchase", "attributes": {"x": "y" * room}}, separators=(",", ":")
    ).encode()
    assert len(body) == OPERATION_BYTES
    assert fixed(body=body) is None


def test_what_cannot_be_fixed_is_none() -> None:
    assert fixed(total="many", items={"price": "3"}) is None


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(["order_id", "orderId", "total", "count", "gift", "items", "other"])


@given(st.sampled_from(["order_completed", "purchase"]), st.dictionaries(NAMES, VALUES))
def test_whatever_is_sent_a_fix_changes_only_what_violates_the_plan_and_ends_it(
    name: str, attributes: dict[str, Any]
) -> None:
    document = {"name": name, "attributes": attributes}
    violations = CHECKER.violations("person.event", document, "web")
    found = fix(msgspec.json.encode(document), violations)
    if found is None:
        assert name == "order_completed"
        return
    after = msgspec.json.decode(found.body)
    left = CHECKER.violations("person.event", after, "web")
    assert len(left) < len(violations)
    touched = {each.at[0] for each in violations if each.at}
    for untouched in attributes.keys() - touched - {"order_id"}:
        assert after["attributes"][untouched] == attributes[untouched]


def test_a_place_that_is_not_there_is_no_error() -> None:
    violation = Violation(
        "order_completed",
        ("gone",),
        ViolationKind.TYPE,
        "number",
        "string",
        Enforcement.FIX,
        ("number",),
    )
    assert fix(b'{"name":"order_completed","attributes":{}}', [violation]) is None
