"""A plan's file becomes a plan, or an error that names each line that is wrong."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackrelay.plan import Enforcement, PlanError, load_plan, parse_plan
from trackrelay.plan.plan_text import plan_text
from trackrelay.plan.plan_yaml import MAX_DEPTH, read_yaml

ROOT = Path(__file__).parents[4]

PLAN = """\
plan: 1
name: shop
enforcement: fix
sources: {legacy-erp: off, mobile: off}
events:
  order_completed:
    description: An order was paid.
    owner: backend
    aliases: [purchase, Order Completed]
    enforcement: {default: dead_letter, sources: {mobile: warn}}
    lateness: 10m
    changes: [orders_count]
    id_property: order_id
    properties:
      order_id: {type: string, aliases: [orderId]}
      cart_value: {type: number, minimum: 0}
    required: [order_id, cart_value]
attributes:
  orders_count: {type: integer, owner: [backend, erp], privacy: personal}
objects:
  product:
    id: 2
    attributes:
      sku: {type: string}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(PlanError) as caught:
        parse_plan(text, "plan.yaml")
    return str(caught.value).splitlines()


def test_a_plan_has_all_that_its_file_says() -> None:
    plan = parse_plan(PLAN)
    event = plan.events["order_completed"]
    assert event.owners == ("backend",)
    assert event.lateness_s == 600
    assert event.required == ("order_id", "cart_value")
    assert event.properties["order_id"].aliases == ("orderId",)
    assert event.properties["cart_value"].schema == {"type": "number", "minimum": 0}
    assert event.line == 6
    assert plan.event("purchase") is event
    assert plan.attributes["orders_count"].owners == ("backend", "erp")
    assert plan.objects["product"].type_id == "2"
    assert (plan.additional_events, plan.additional_attributes) == (False, True)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("mobile", "warn"),
        ("legacy-erp", "off"),
        ("backend", "dead_letter"),
        (None, "dead_letter"),
    ],
)
def test_what_names_the_source_wins_over_defaults(source: str | None, expected: str) -> None:
    plan = parse_plan(PLAN)
    policy = plan.events["order_completed"].policy
    assert plan.enforcement(policy, source) is Enforcement(expected)


def test_comments_and_order_do_not_change_the_version() -> None:
    reordered = "# a comment\nname: shop\nplan: 1\n"
    assert parse_plan(reordered).digest == parse_plan("plan: 1\nname: shop\n").digest
    assert parse_plan("plan: 1\nname: other\n").digest != parse_plan(reordered).digest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plan: 2\nname: shop", "plan.yaml:1: plan must be 1; it is another integer"),
        ("plan: 1", "plan.yaml:1: name is missing"),
        (
            "plan: 1\nname: shop\nenforcment: warn",
            "plan.yaml:3: enforcment is not a word of the plan; did you mean 'enforcement'?",
        ),
        (
            "plan: 1\nname: shop\nenforcement: strict",
            "plan.yaml:3: enforcement must be one of off, warn, fix, dead_letter; it is another "
            "string",
        ),
        (
            "plan: 1\nname: s\nevents:\n  a:\n    properties:\n      b: {type: nmber}",
            "plan.yaml:6: events.a.properties.b.type must be one of string, boolean",
        ),
        (
            "plan: 1\nname: s\nevents:\n  a:\n    properties:\n      b: {enmu: [x]}",
            "plan.yaml:6: events.a.properties.b.enmu is not a word of JSON Schema or of the plan; "
            "did you mean 'enum'?",
        ),
        (
            "plan: 1\nname: s\nevents:\n  a:\n    properties:\n      b: {$ref: 'https://x.test/'}",
            "plan.yaml:6: events.a.properties.b.$ref is not supported: write &name",
        ),
        (
            "plan: 1\nname: s\nevents:\n  a:\n    properties:\n      b: {}\n    required: [c]",
            "plan.yaml:7: events.a.required[0] is 'c', which is not a property here",
        ),
        (
            "plan: 1\nname: s\nevents:\n  a: {aliases: [b]}\n  b: {}",
            "plan.yaml:4: events.a.aliases has 'b', which is an event",
        ),
        (
            "plan: 1\nname: s\nevents:\n  a: {lateness: soon}",
            "plan.yaml:4: events.a.lateness must be a duration such as 90s",
        ),
        (
            "plan: 1\nname: s\nevents:\n  ' a': {}",
            "plan.yaml:4: events.' a' is named ' a': Customer.io trims such a name",
        ),
        (
            "plan: 1\nname: s\nattributes:\n  a: {type: string}\nevents:\n  b: {changes: [c]}",
            "plan.yaml:6: events.b.changes[0] is 'c', which is not an attribute here",
        ),
        (
            "plan: 1\nname: s\nobjects:\n  product: {}",
            "plan.yaml:4: objects.product needs id, the number of the type in the workspace",
        ),
        (
            "plan: 1\nname: s\nevents:\n  a:\n    properties:\n      b: {owner: x}",
            "plan.yaml:6: events.a.properties.b.owner is for attributes",
        ),
        (
            "plan: 1\nname: s\nattributes:\n  a: {type: string, pattern: '(?=x)y'}",
            "plan.yaml:4: attributes.a",
        ),
        (
            'plan: 1\nname: s\nattributes:\n  "a\\0b": {}',
            "plan.yaml:4: attributes.'a\\x00b' is named 'a\\x00b'; a name is printable text",
        ),
        ("plan: 1\nname: s\nname: t", "plan.yaml:3: 'name' is there twice"),
        ("plan: [1", "plan.yaml:"),
        ("", "plan.yaml:1: is empty"),
        ("[]", "plan.yaml:1: must be object; it is array"),
        ("plan: 1\nname: !!python/object:os.system x", "plan.yaml:2: the tag tag:yaml.org"),
        ("a: &a\n  b: *a", "plan.yaml:2: there is no anchor &a before it"),
        ("[" * (MAX_DEPTH + 2), "plan.yaml:1: is nested deeper than"),
    ],
)
def test_an_error_names_line_place_and_reason(text: str, expected: str) -> None:
    found = problems(text)
    assert any(line.startswith(expected) for line in found), found


def test_every_problem_is_named_at_once() -> None:
    found = problems(
        "plan: 1\nname: s\nfoo: 1\nevents:\n  a:\n    owner: 1\n    lateness: soon\n"
        "    aliases: [1, b]\n    properties:\n      c: {type: nmber}\n    required: [d]"
    )
    assert [line.split(":")[1] for line in found] == ["3", "6", "7", "8", "10", "11"]


def test_names_may_have_nothing_below_them() -> None:
    plan = parse_plan("plan: 1\nname: s\nevents:\n  a:\n    properties:\n      b:\nattributes:")
    assert plan.events["a"].properties["b"].schema == {}


def test_many_uses_of_one_anchor_are_counted() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "has more than 100,000 values" in problems("\n".join(lines))[0]


def test_a_file_that_is_missing_large_or_no_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="cannot be read: No such file"):
        load_plan(tmp_path / "none.yaml")
    file = tmp_path / "plan.yaml"
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(PlanError, match="is not UTF-8"):
        load_plan(file)
    file.write_bytes(b"#" * 1_000_001)
    with pytest.raises(PlanError, match="is larger than 1,000,000 bytes"):
        load_plan(file)


def test_the_error_can_be_pickled() -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan("plan: 2")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_words_are_words_as_in_yaml_1_2() -> None:
    text = "a: off\nb: yes\nc: 2026-01-01\nd: 1e3\ne: true\nf: '12'\ng: ~\non: 1\n1: x\nh: 0x1f"
    assert read_yaml(text).value == {
        "a": "off",
        "b": "yes",
        "c": "2026-01-01",
        "d": 1000.0,
        "e": True,
        "f": "12",
        "g": None,
        "on": 1,
        "1": "x",
        "h": "0x1f",
    }


def test_a_mapping_can_be_merged_and_overridden() -> None:
    text = "a: &a {b: 1, c: 2}\nd:\n  <<: *a\n  c: 3"
    assert read_yaml(text).value["d"] == {"b": 1, "c": 3}


_SCALARS = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=12)
_TEXTS = st.text(max_size=8) | st.sampled_from(
    ["off", "1e3", "0x1", "1_0", "~", "- a", "# b", "<<"]
)


@given(
    st.dictionaries(
        _TEXTS.filter(lambda name: name != "<<"),
        st.recursive(
            _SCALARS | _TEXTS,
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=4)
            ),
            max_leaves=8,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_written_is_read_as_the_same(document: dict[str, object]) -> None:
    assert read_yaml(plan_text(document)).value == document


@pytest.mark.parametrize("name", ["django_shop", "flask_app"])
def test_the_plans_of_the_examples_are_plans(name: str) -> None:
    plan = load_plan(ROOT / "examples" / name / "trackrelay-plan.yaml")
    assert "order_completed" in plan.events
