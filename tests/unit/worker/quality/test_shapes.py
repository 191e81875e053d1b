"""The shape of a job's data: names and types, never a value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackrelay.worker.quality.shapes import MAX_PATHS, pairs, shape_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5)
    ),
    max_leaves=30,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("pro", "string"),
        ("", "empty string"),
        ("12.50", "number in a string"),
        ("-3", "number in a string"),
        ("1e5", "number in a string"),
        ("0042", "string"),
        ("+491701234567", "string"),
        ("1.2.3", "string"),
        ("true", "boolean in a string"),
        ("False", "boolean in a string"),
        ("t", "string"),
        ("2026-11-30", "date in a string"),
        ("2026-11-30T12:00:00Z", "date in a string"),
        ("1700000000", "unix time in a string"),
        ("9" * 41, "string"),
        (7, "integer"),
        (1_700_000_000, "unix seconds"),
        (1_700_000_000_000, "unix milliseconds"),
        (12.5, "number"),
        (True, "boolean"),
        (None, "null"),
        ([], "list"),
        ({}, "object"),
    ],
)
def test_a_value_has_a_type(value: object, expected: str) -> None:
    assert pairs(shape_of({"a": value})) == [("a", expected)]


def test_paths_go_three_levels_deep_and_name_the_items_of_lists() -> None:
    shape = shape_of(
        {"cart": {"items": [{"sku": "A", "size": {"eu": 40}}, {"sku": 7}, None], "total": 1}}
    )
    assert pairs(shape) == [
        ("cart", "object"),
        ("cart.items", "list"),
        ("cart.items[]", "object"),
        ("cart.items[].sku", "string"),
        ("cart.items[].size", "object"),
        ("cart.items[].sku", "integer"),
        ("cart.items[]", "null"),
        ("cart.total", "integer"),
    ]


def test_a_job_with_very_many_attributes_has_a_bounded_shape() -> None:
    assert len(pairs(shape_of({f"name_{number}": 1 for number in range(10_000)}))) == MAX_PATHS


@given(st.dictionaries(st.text(max_size=300), JSON, max_size=10))
def test_every_document_has_a_shape_of_bounded_texts(document: dict[str, object]) -> None:
    for path, of_type in pairs(shape_of(document)):
        assert len(path) <= 260
        assert of_type
