"""Values that were sent, beside what the App API returns of them."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trackrelay.worker.quality.attribute_values import (
    Form,
    Tag,
    decode_document,
    number_form,
    returned_exact,
    returned_loose,
    sent_form,
)


def written(value: Any) -> Any:
    """A value as in a request, read by the worker."""
    return decode_document(json.dumps(value))


def as_the_app_api_has_it(value: Any) -> str | None:
    """Strings as they are, everything else as JSON; what is removed is not there."""
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def is_same(form: Form, returned: str | None) -> bool:
    return returned_exact(form.tag, returned) == form.exact


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        (1, "1"),
        (1, "1.0"),
        (1.0, "1"),
        (1e3, "1000"),
        (1000, "1e3"),
        (1000, "1E+3"),
        (0, "-0"),
        (0.1, "0.10"),
        (-12.50, "-12.5"),
        (12345678901234567890, "12345678901234567890"),
        (1489014595, "1489014595"),
        (1e21, "1e+21"),
        (True, "true"),
        (False, "False"),
        ("pro", "pro"),
        ("007", "007"),
        ("null", "null"),
        ("Grüße 🎉", "Grüße 🎉"),
        (None, None),
        (None, ""),
        ("", None),
        ({"b": [1, 2.0], "a": None}, '{ "a": null, "b": [1.0, 2] }'),
        ([], "[]"),
        ({"é": "ü"}, '{"\\u00e9":"ü"}'),
    ],
)
def test_the_same_value_is_the_same_in_any_form(sent: Any, returned: str | None) -> None:
    assert is_same(sent_form("plan", written(sent)), returned)


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        (1, "2"),
        (1, "1_0"),
        (1, "١"),
        (1, ""),
        (1, None),
        (1, "one"),
        (True, "false"),
        ("pro", "Pro"),
        ("pro", " pro"),
        ("pro", None),
        (None, "pro"),
        (None, "null"),
        ({"a": 1}, '{"a":2}'),
        ({"a": 1}, "[object Object]"),
        ([1, 2], "[2,1]"),
        ("x", "x" * 100_000),
        (12345678901234567890, "12345678901234567000"),
        ([1], "[" * 100_000),
    ],
)
def test_another_value_is_another_one(sent: Any, returned: str | None) -> None:
    assert not is_same(sent_form("plan", written(sent)), returned)


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("007", "7"),
        ("1.50", "1.5"),
        (True, "1"),
        ("true", "1"),
        (12345678901234567890, "12345678901234567000"),
        (0.1 + 0.2, "0.30000000000000004"),
        ({"a": 1, "b": True}, '{"a":"1","b":"true"}'),
        ([1, None], '["1",""]'),
        (" pro ", "pro"),
    ],
)
def test_a_value_that_lost_its_type_or_precision_is_equal_in_the_loose_form(
    sent: Any, returned: str
) -> None:
    form = sent_form("plan", written(sent))
    assert (form.loose or form.exact) == returned_loose(returned)


@pytest.mark.parametrize(("sent", "returned"), [("pro", "Pro"), (1, "2"), (True, "0")])
def test_another_value_has_another_loose_form(sent: Any, returned: str) -> None:
    form = sent_form("plan", written(sent))
    assert (form.loose or form.exact) != returned_loose(returned)


def test_an_email_is_compared_as_customer_io_compares_it() -> None:
    form = sent_form("email", "Ada@Example.com")
    assert form.tag is Tag.EMAIL
    assert is_same(form, "ada@example.COM")
    assert not is_same(form, "bob@example.com")


def test_an_id_is_text_whatever_it_was_sent_as() -> None:
    assert is_same(sent_form("id", 42), "42")
    assert not is_same(sent_form("id", "042"), "42")


@pytest.mark.parametrize("sent", [True, "true", "TRUE", 1, "1"])
def test_unsubscribed_is_compared_as_a_truth(sent: Any) -> None:
    form = sent_form("unsubscribed", written(sent))
    assert is_same(form, "true")
    assert not is_same(form, "false")


@pytest.mark.parametrize("sent", [False, 0, None, "", "no"])
def test_anything_else_is_not_unsubscribed(sent: Any) -> None:
    assert is_same(sent_form("unsubscribed", written(sent)), "False")


@pytest.mark.parametrize("text", ["", "NaN", "Infinity", "1e", "0x10", "1" * 401, "1e9999999"])
def test_a_text_that_is_no_json_number_has_no_number_form(text: str) -> None:
    assert number_form(text) is None


@pytest.mark.parametrize("text", ["1e999999", "-1e-999999", "9" * 400])
def test_a_huge_number_has_a_short_form(text: str) -> None:
    assert len(number_form(text) or "") <= 410


@pytest.mark.parametrize(
    "document", ['{"a": 1e99999999999}', '{"a": NaN}', '{"a": -Infinity}', '{"a": 1e400}']
)
def test_numbers_that_no_program_takes_do_no_harm(document: str) -> None:
    value = decode_document(document)["a"]
    assert is_same(sent_form("plan", value), "1") is False


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)


@given(VALUES)
@example({"": None})
@example(-0.0)
@example(2**70)
def test_whatever_is_sent_is_recognized_in_the_form_in_which_the_app_api_returns_it(
    value: Any,
) -> None:
    form = sent_form("plan", written(value))
    returned = as_the_app_api_has_it(value)
    assert is_same(form, returned)
    if returned is not None:
        assert (form.loose or form.exact) == returned_loose(returned)


@given(VALUES, VALUES)
def test_two_values_have_one_form_only_if_they_are_one_value(one: Any, other: Any) -> None:
    first, second = sent_form("plan", written(one)), sent_form("plan", written(other))
    same = (first.tag, first.exact) == (second.tag, second.exact)
    if same:
        assert one == other or {one or "", other or ""} == {""}


@given(st.text())
def test_no_answer_of_the_app_api_breaks_a_comparison(returned: str) -> None:
    for tag in Tag:
        returned_exact(tag, returned)
    returned_loose(returned)
