from __future__ import annotations

import json
from collections import ChainMap, OrderedDict, UserDict, deque
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.refusals import document_of, refusal_of
from trackrelay import operations
from trackrelay.errors import InvalidOperationError
from trackrelay.operations import limits, scalars

SOME_UUID = UUID("2f1cbd1d-5d5c-4c26-8b5e-0a1d1bb7f8f0")


class Plan(Enum):
    PRO = "pro"


class Size(IntEnum):
    BIG = 3


class Colour(StrEnum):
    RED = "red"


class Text(str):
    def __str__(self) -> str:
        return "something else"


class Number(int):
    pass


def made_of(value: Any) -> Any:
    return (
        document_of(operations.track("42", "x", {"value": value}))
        .get("attributes", {})
        .get("value")
    )


def refused(value: Any) -> Any:
    return refusal_of(lambda: operations.track("42", "x", {"value": value}))


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (datetime(2024, 5, 1, 12, tzinfo=UTC), 1714564800),
        (datetime(2024, 5, 1, 14, 0, 0, 999_999, tzinfo=ZoneInfo("Europe/Berlin")), 1714564800),
        (datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC), -1),
        (datetime(9999, 12, 31, tzinfo=UTC), 253402214400),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), -62135647200),
        (date(2024, 5, 1), 1714521600),
        (date(1969, 12, 31), -86400),
        (Decimal("129.50"), 129.5),
        (Decimal("3"), 3.0),
        (Decimal("9007199254740993"), 9007199254740993),
        (Decimal("1E+3"), 1000.0),
        (Fraction(1, 4), 0.25),
        (SOME_UUID, str(SOME_UUID)),
        (Plan.PRO, "pro"),
        (Size.BIG, 3),
        (Colour.RED, "red"),
        (Text("text"), "text"),
        (Number(7), 7),
        ((1, 2), [1, 2]),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({3, 1}), [1, 3]),
        (deque([1, (2,)]), [1, [2]]),
        (range(3), [0, 1, 2]),
        (
            {1: "int", SOME_UUID: "uuid", Plan.PRO: "enum"},
            {"1": "int", str(SOME_UUID): "uuid", "pro": "enum"},
        ),
        (OrderedDict(a=1), {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (UserDict(a=1), {"a": 1}),
        (ChainMap({"a": 1}, {"b": Decimal("2.5")}), {"a": 1, "b": 2.5}),
        ([], []),
        ({}, {}),
        (None, None),
        (True, True),
        (-0.5, -0.5),
        (1e22, 1e22),
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        ("\u2028 \x00 😀", "\u2028 \x00 😀"),
    ],
)
def test_values_become_what_json_has(given: Any, sent: Any) -> None:
    assert made_of(given) == sent
    assert type(made_of(given)) is type(sent)
    assert made_of([{"deep": given}]) == [{"deep": sent}]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (b"bytes", "is bytes: decode them to text first"),
        (bytearray(b"x"), "is bytes: decode them to text first"),
        (float("nan"), "is nan, which JSON does not have"),
        (float("-inf"), "is -inf, which JSON does not have"),
        (Decimal("NaN"), "is nan, which JSON does not have"),
        (Decimal("sNaN"), "is nan, which JSON does not have"),
        (Decimal("1e400"), "is inf, which JSON does not have"),
        (2**64, "is an integer beyond 64 bits: send it as text"),
        (-(2**63) - 1, "is an integer beyond 64 bits: send it as text"),
        (Decimal(2**64), "is an integer beyond 64 bits: send it as text"),
        (
            datetime(2024, 5, 1),
            "is a naive datetime: give it a time zone, or say with naive_timezone which one is "
            "meant",
        ),
        (timedelta(1), "is a timedelta, which JSON does not have"),
        (1j, "is a complex, which JSON does not have"),
        (object(), "is an object, which JSON does not have"),
        (iter([1]), "is a list_iterator, which JSON does not have"),
        ("\ud83d", "has half a surrogate pair in it, which UTF-8 cannot encode"),
        ({True: 1}, "is named by a boolean; names are text"),
        ({None: 1}, "is named by None; names are text"),
        ({(1, 2): 1}, "is named by a tuple; names are text"),
        ({1: "a", "1": "b"}, "has two names that are the same text"),
    ],
)
def test_what_json_does_not_have_is_refused_where_it_stands(given: Any, problem: str) -> None:
    error = refused(given)
    assert str(error).endswith(problem)
    assert error.field.startswith("attributes.value")
    assert refused([0, {"deep": given}]).field.startswith("attributes.value[1].deep")


def test_a_refusal_says_where_in_nested_data_the_trouble_is() -> None:
    data = {"items": [{"price": 1.5}, {"price": float("nan")}]}
    error = refusal_of(lambda: operations.track("42", "order completed", data))
    assert str(error) == (
        "data 'items[1].price' of event 'order completed' of person id:42 is nan, "
        "which JSON does not have"
    )
    assert error.field == "attributes.items[1].price"


def test_circular_values_are_refused() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    loop: list[Any] = []
    loop.append(loop)
    for value in (circle, loop):
        assert str(refused(value)).endswith("is nested more than 32 deep, or contains itself")


def test_values_are_taken_as_deep_as_the_limit_and_no_deeper() -> None:
    def nested(depth: int) -> Any:
        return [] if depth == 1 else [nested(depth - 1)]

    # The data is one level itself.
    assert made_of(nested(limits.DEPTH - 1)) == nested(limits.DEPTH - 1)
    assert refused(nested(limits.DEPTH)).limit == "32 levels"


def test_a_small_value_that_stands_for_gigabytes_is_refused_at_once() -> None:
    value: Any = ["x" * 1000]
    for _ in range(28):
        value = [value, value]
    assert refused(value).actual.startswith("more")


def test_two_sets_of_the_same_things_are_sent_alike() -> None:
    words = [f"word {number}" for number in range(50)]
    assert made_of(set(words)) == made_of(frozenset(words[::-1])) == sorted(words)


@pytest.mark.parametrize("seconds", [limits.TIMESTAMP_MIN, 1714564800, limits.TIMESTAMP_MAX])
def test_seconds_are_taken_where_times_belong(seconds: int) -> None:
    made = document_of(operations.track("42", "x", {"paid_at": seconds}, timestamp=seconds))
    assert made["timestamp"] == made["attributes"]["paid_at"] == seconds


@pytest.mark.parametrize(
    "seconds", [0, 1, -1, 1_714_564, 20240501, limits.TIMESTAMP_MAX + 1, limits.SECONDS_MAX]
)
def test_a_time_before_1990_or_after_2099_is_when_nothing_happened(seconds: int) -> None:
    for call in (
        lambda: operations.track("42", "x", timestamp=seconds),
        lambda: operations.identify("42", timestamp=seconds),
        lambda: operations.report_metric("d", "opened", timestamp=seconds),
    ):
        error = refusal_of(call)
        assert error.field == "timestamp"
        assert "it is probably not in unix seconds" in str(error)
    made = document_of(operations.track("42", "x", {"paid_at": seconds, "born": date(1871, 3, 5)}))
    assert made["attributes"]["paid_at"] == seconds


@pytest.mark.parametrize(
    "milliseconds",
    [limits.SECONDS_MAX + 1, 1714564800000, 1.714564800000e12, Decimal("1714564800000")],
)
def test_milliseconds_are_refused_where_times_belong(milliseconds: Any) -> None:
    for call, field in (
        (lambda: operations.track("42", "x", timestamp=milliseconds), "timestamp"),
        (
            lambda: operations.track("42", "x", {"items": [{"paid_at": milliseconds}]}),
            "attributes.items[0].paid_at",
        ),
        (lambda: operations.identify("42", timestamp=milliseconds), "timestamp"),
        (lambda: operations.identify("42", {"created_at": milliseconds}), "attributes.created_at"),
        (
            lambda: operations.add_device("42", "t", "ios", last_used=milliseconds),
            "device.last_used",
        ),
        (lambda: operations.report_metric("d", "opened", timestamp=milliseconds), "timestamp"),
    ):
        error = refusal_of(call)
        assert error.field == field
        assert error.limit == "unix seconds"
        assert "which reads as milliseconds; Customer.io takes unix seconds" in str(error)


def test_numbers_as_large_as_milliseconds_are_taken_where_no_times_belong() -> None:
    data = {
        "phone": 4915112345678,
        "order_number": 1714564800000,
        "flat": 1714564800000,
        "stated_at": "1714564800000",
    }
    assert document_of(operations.track("42", "x", data))["attributes"] == data


def test_a_date_in_the_far_future_is_no_milliseconds() -> None:
    never = datetime(9999, 12, 31, tzinfo=UTC)
    assert (
        document_of(operations.identify("42", {"expires_at": never}))["attributes"]["expires_at"]
        == 253402214400
    )


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (1714564800.987, 1714564800),
        (Decimal("1714564800.5"), 1714564800),
        (datetime(2024, 5, 1, 12, 0, 0, 700_000, tzinfo=UTC), 1714564800),
        (date(2024, 5, 1), 1714521600),
    ],
)
def test_timestamps_are_whole_seconds(given: Any, sent: int) -> None:
    assert document_of(operations.track("42", "x", timestamp=given))["timestamp"] == sent


@pytest.mark.parametrize(
    "given",
    ["1714564800", "2024-05-01", True, [], -1, datetime(1969, 1, 1, tzinfo=UTC), float("nan"), 1j],
)
def test_what_is_no_timestamp_is_refused(given: Any) -> None:
    assert refusal_of(lambda: operations.track("42", "x", timestamp=given)).field == "timestamp"


def test_naive_datetimes_mean_what_is_set() -> None:
    naive = datetime(2024, 5, 1, 14)
    try:
        for zone in (ZoneInfo("Europe/Berlin"), lambda: ZoneInfo("Europe/Berlin")):
            scalars.set_naive_timezone(zone)
            made = document_of(operations.track("42", "x", {"at": naive}, timestamp=naive))
            assert made["timestamp"] == made["attributes"]["at"] == 1714564800
            # A date has no zone to be naive about.
            assert made_of(date(2024, 5, 1)) == 1714521600
        scalars.set_naive_timezone(lambda: None)
        assert refused(naive).actual == "a naive datetime"
    finally:
        scalars.set_naive_timezone(None)
    assert refused(naive).actual == "a naive datetime"


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-limits.SECONDS_MAX, limits.SECONDS_MAX)
    | st.floats(-limits.SECONDS_MAX, limits.SECONDS_MAX)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=5)
    ),
    max_leaves=20,
)
RESERVED = {"recipient", "from_address", "reply_to"}


@settings(deadline=None)
@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), PLAIN).filter(
        lambda data: not RESERVED & data.keys()
    )
)
def test_what_is_json_already_arrives_as_it_is(data: dict[str, Any]) -> None:
    assert document_of(operations.track("42", "x", data)).get("attributes", {}) == data


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
    | st.dates()
    | st.uuids()
    | st.sampled_from([Plan.PRO, Size.BIG, Colour.RED]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.uuids(), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), ANYTHING))
def test_anything_is_refused_or_arrives_the_same_when_sent_again(data: dict[str, Any]) -> None:
    """What passes is JSON, and passing it once more changes nothing."""
    try:
        operation = operations.track("42", "x", data)
    except InvalidOperationError:
        assert refusal_of(lambda: operations.track("42", "x", data)).field.startswith("attributes")
        return
    again = json.loads(operation.body, parse_constant=pytest.fail)
    assert operations.entity(again).body == operation.body
