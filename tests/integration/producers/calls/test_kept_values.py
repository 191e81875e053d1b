"""How the values of a refused call are described."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
import redis
from django.utils.functional import SimpleLazyObject, lazystr
from hypothesis import given
from hypothesis import strategies as st

import trackrelay
from tests.support.kept_calls import kept
from trackrelay import InvalidOperationError, Producer, operations
from trackrelay.operations.coercion import NOT_ENCODED
from trackrelay.operations.description import described
from trackrelay.operations.refused_operations import MAX_DOCUMENT_BYTES
from trackrelay.operations.unacceptable import Unacceptable


class Hostile:
    """A value that can be nothing but described."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


def circular() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "described_as"),
    [
        (b"1234", {NOT_ENCODED: "4 bytes"}),
        (float("nan"), {NOT_ENCODED: "the number nan"}),
        (2**70, {NOT_ENCODED: "an integer of 71 bits", "text": str(2**70)}),
        (10**10_000, {NOT_ENCODED: "an integer of 33,220 bits"}),
        (datetime(2026, 5, 1, 12), "a naive datetime"),
        (Hostile(), "a Hostile"),
        (open, "a builtin_function_or_method"),
        (circular(), "nested too deep"),
        ({"x" * 10_000: 1}, "x" * 500),
        ("\ud800", "text with half a surrogate pair in it"),
        ("x" * 1_000_000, "text of 1,000,000 characters, too many to be kept"),
        (range(10**15), "no room"),
        (lazystr("Ada"), "Ada"),
        (lazystr("\ud800"), "text with half a surrogate pair in it"),
        (SimpleLazyObject(lambda: "x" * 1_000_000), "text of 1,000,000 characters"),
        ({5, 6}, [5, 6]),
        (Decimal("12.50"), 12.5),
        (UUID(int=7), str(UUID(int=7))),
        (datetime(2026, 5, 1, tzinfo=UTC), 1_777_593_600),
        (Fraction(1, 2), 0.5),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:20],
)
def test_what_json_cannot_say_is_described(
    keeping: Producer, queue: redis.Redis, value: object, described_as: object
) -> None:
    trackrelay.track("42", "ordered", {"value": value, "wrong": float("nan"), "total": 5})
    (entry,) = kept(queue)
    found = entry.document["attributes"]["value"]
    if isinstance(described_as, str) and not isinstance(value, UUID):
        assert described_as in json.dumps(found)
    else:
        assert found == described_as
    assert len(entry.job.body) < 2 * MAX_DOCUMENT_BYTES


def test_the_largest_event_is_kept_whole(keeping: Producer, queue: redis.Redis) -> None:
    data = {f"item {number}": ["x" * 500, number, None] for number in range(190)}
    trackrelay.track("42", "ordered", data, timestamp="yesterday")  # type: ignore[arg-type]
    (entry,) = kept(queue)
    assert entry.document["attributes"] == data


@pytest.mark.parametrize(
    "value",
    [
        {"a": ["x" * 1_000_000] * 99_000},
        [b""] * 1_000_000,
        {str(number): Hostile() for number in range(100_000)},
        [[[[]] * 1000] * 1000] * 1000,
        "\x01" * 120_000,
        {"\x01" * 400 + str(number): "\x02" * 300 for number in range(1_000)},
        {"\x01" * 300: Unacceptable("\x01" * 100_000, InvalidOperationError("\x01" * 1_000))},
    ],
    ids=["long texts", "bytes", "objects", "empty lists", "controls", "names", "refused"],
)
def test_what_is_kept_is_bounded(value: object) -> None:
    assert len(described({"attributes": value}, MAX_DOCUMENT_BYTES)) < 1.6 * MAX_DOCUMENT_BYTES


BASES: list[dict[str, Any]] = [
    {
        "type": "person",
        "action": "identify",
        "identifiers": {"id": "42"},
        "attributes": {"plan": "pro", "nested": {"a": [1]}},
        "timestamp": 1_700_000_000,
        "cio_relationships": [{"identifiers": {"object_type_id": "1", "object_id": "acme"}}],
    },
    {
        "type": "person",
        "action": "event",
        "identifiers": {"id": "42"},
        "name": "seen",
        "attributes": {"a": {"b": [1, {"c": 2}]}},
    },
    {
        "type": "person",
        "action": "add_device",
        "identifiers": {"id": "42"},
        "device": {"token": "t", "platform": "ios", "attributes": {"a": "b"}},
    },
    {
        "type": "form",
        "action": "submit",
        "identifiers": {"form_id": "f"},
        "person": {"id": "1"},
        "attributes": {"a": "b"},
    },
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict | list):
        for name, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(member, (*path, name))


@given(data=st.data())
def test_a_description_is_refused_wherever_it_stands(data: st.DataObject) -> None:
    document = json.loads(json.dumps(data.draw(st.sampled_from(BASES))))
    operations.entity(document)
    path = data.draw(st.sampled_from(list(places(document))))
    holder: Any = document
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = {NOT_ENCODED: "4 bytes"}
    with pytest.raises(InvalidOperationError):
        operations.entity(document)
