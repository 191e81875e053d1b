"""Filters are expressions, become the API's form, and report errors."""

from collections.abc import Callable
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

import pytest

from trackrelay.app_api import AppApiCallError, Filter, attr, in_segment, object_attr
from trackrelay.app_api.filter_expressions import filter_document

PRO = {"attribute": {"field": "plan", "operator": "eq", "value": "pro"}}
CHURNED = {"attribute": {"field": "churned", "operator": "exists"}}
SEVEN = {"segment": {"id": 7}}


NAN = float("nan")


class Plan(Enum):
    PRO = "pro"


class Level(StrEnum):
    HIGH = "high"


@pytest.mark.parametrize(
    ("where", "document"),
    [
        (attr("plan") == "pro", PRO),
        (attr("plan") != "pro", {"not": PRO}),
        (attr("churned").exists(), CHURNED),
        (~attr("churned").exists(), {"not": CHURNED}),
        (in_segment(7), SEVEN),
        ((attr("plan") == "pro") & ~attr("churned").exists(), {"and": [PRO, {"not": CHURNED}]}),
        ((attr("plan") == "pro") | in_segment(7), {"or": [PRO, SEVEN]}),
        (
            (attr("plan") == "pro") & attr("churned").exists() & in_segment(7),
            {"and": [PRO, CHURNED, SEVEN]},
        ),
        (
            (attr("plan") == "pro") & (attr("churned").exists() & in_segment(7)),
            {"and": [PRO, CHURNED, SEVEN]},
        ),
        (
            (attr("plan") == "pro") | (attr("churned").exists() & in_segment(7)),
            {"or": [PRO, {"and": [CHURNED, SEVEN]}]},
        ),
        (~~(attr("plan") == "pro"), PRO),
        (~(attr("plan") != "pro"), PRO),
        (~((attr("plan") == "pro") & in_segment(7)), {"not": {"and": [PRO, SEVEN]}}),
        (PRO, PRO),
        ({"not": {"or": [PRO, SEVEN]}}, {"not": {"or": [PRO, SEVEN]}}),
    ],
)
def test_a_filter_of_people_is_sent_in_the_apis_form(where: Any, document: Any) -> None:
    assert filter_document(where) == document


def test_a_filter_of_objects_names_the_type_in_each_condition() -> None:
    where = (object_attr("name") == "Acme") & ~object_attr("closed").exists()
    assert filter_document(where, "3") == {
        "and": [
            {
                "object_attribute": {
                    "field": "name",
                    "operator": "eq",
                    "value": "Acme",
                    "type_id": "3",
                }
            },
            {
                "not": {
                    "object_attribute": {"field": "closed", "operator": "exists", "type_id": "3"}
                }
            },
        ]
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("pro", "pro"),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (2.5, "2.5"),
        (Plan.PRO, "pro"),
        (Level.HIGH, "high"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_values_are_compared_as_the_texts_that_customer_io_keeps(value: object, text: str) -> None:
    assert filter_document(attr("a") == value)["attribute"]["value"] == text


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "and": (lambda: (attr("a") == "1") and (attr("b") == "2"), "by &, | and ~"),
    "or": (lambda: (attr("a") == "1") or (attr("b") == "2"), "instead of and, or and not"),
    "not": (lambda: not attr("a").exists(), "instead of and, or and not"),
    "if": (lambda: 1 if attr("a") else 2, "attr('a').exists()"),
    "an attribute alone": (lambda: filter_document(attr("a")), "no condition by itself"),
    "an attribute joined": (lambda: (attr("a") == "1") & attr("b"), "attr('b') is no condition"),
    "an attribute first": (lambda: attr("b") & (attr("a") == "1"), "attr('b') is no condition"),
    "an attribute negated": (lambda: ~attr("b"), "attr('b') is no condition"),
    "no parentheses": (lambda: attr("a") == "1" & attr("b").exists(), "needs parentheses"),
    "no parentheses, or": (lambda: attr("a") == "1" | attr("b").exists(), "needs parentheses"),
    "joined with a dict": (lambda: (attr("a") == "1") & {"not": 1}, "needs parentheses"),
    "chained": (lambda: attr("a") == "1" == "2", "do not chain"),
    "less than": (lambda: attr("a") < 3, "equality alone"),
    "in": (lambda: "x" in attr("a"), "equality alone"),
    "a list": (lambda: attr("a") == [1], "of type list"),
    "none": (lambda: attr("a") == None, "~attr(…).exists()"),  # noqa: E711
    "nan": (lambda: attr("a") == NAN, "of type float"),
    "no name": (lambda: attr(""), "the name of an attribute"),
    "a name that is no text": (lambda: attr(3), "the name of an attribute"),  # type: ignore[arg-type]
    "a segment's name": (lambda: in_segment("vip"), "the id of a segment"),  # type: ignore[arg-type]
    "segment 0": (lambda: in_segment(0), "from 1 to"),
    "segment True": (lambda: in_segment(True), "the id of a segment"),
    "an empty dict": (lambda: filter_document({}), "it is an empty dict"),
    "two keys": (lambda: filter_document(PRO | SEVEN), "a dict with 2 keys"),
    "an unknown key": (lambda: filter_document({"xor": []}), "and, or, not, attribute, segment"),
    "an empty and": (lambda: filter_document({"and": []}), "it is empty"),
    "a text": (lambda: filter_document("plan=pro"), "it is of type str"),
    "nothing": (lambda: filter_document(None), "it is nothing"),
    "objects among people": (lambda: filter_document(object_attr("a") == "1"), "use attr()"),
    "people among objects": (lambda: filter_document(attr("a") == "1", "1"), "use object_attr()"),
    "segments of objects": (lambda: filter_document(in_segment(7), "1"), "in_segment()"),
    "a dict for objects": (lambda: filter_document(PRO, "1"), "object_attribute"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_filter_is_refused_with_what_to_write(name: str) -> None:
    make, words = WRONG[name]
    with pytest.raises(AppApiCallError) as refused:
        make()
    assert words in str(refused.value)


def test_a_filter_of_any_depth_is_sent_as_it_is() -> None:
    where: Filter = attr("a") == "0"
    for number in range(1, 50):
        where = ~((attr("a") == number) & (where | in_segment(number)))
    found = filter_document(where)
    for _ in range(49):
        found = found["not"]["and"][1]["or"][0]
    assert found["attribute"]["value"] == "0"


def test_a_filter_that_no_stack_can_hold_is_refused() -> None:
    where: Filter = attr("a") == "0"
    # 40,000 levels: a function that calls itself for each of them, in Python or in C, would end
    # the process or raise RecursionError.
    for _ in range(20_000):
        where = (where | in_segment(1)) & in_segment(2)
    with pytest.raises(AppApiCallError, match="too deep"):
        filter_document(where)


def test_a_filter_is_shown_as_it_was_written() -> None:
    where = (attr("plan") == "pro") & ~object_attr("x").exists() | in_segment(7)
    assert repr(where) == "(((attr('plan') == 'pro') & ~object_attr('x').exists()) | in_segment(7))"
