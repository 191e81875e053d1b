"""Lazy values of Django and werkzeug are what they stand for, wherever a value is taken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.utils.functional import SimpleLazyObject, lazy, lazystr
from werkzeug.local import LocalProxy

from tests.support.refusals import document_of, refusal_of
from trackrelay import InvalidOperationError, ObjectRef, Person, operations

SOME_UUID = UUID("2f1cbd1d-5d5c-4c26-8b5e-0a1d1bb7f8f0")
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)

LAZY: dict[str, Callable[[Any], Any]] = {
    "SimpleLazyObject": lambda value: SimpleLazyObject(lambda: value),
    "LocalProxy": lambda value: LocalProxy(lambda: value),
    "lazy()": lambda value: lazy(lambda: value, type(value))(),
    "one in another": lambda value: LocalProxy(lambda: SimpleLazyObject(lambda: value)),
}

VALUES: list[tuple[Any, Any]] = [
    ("ada", "ada"),
    (5, 5),
    (2.5, 2.5),
    (True, True),
    (None, None),
    (Decimal("1.5"), 1.5),
    (NOON, 1714564800),
    (SOME_UUID, str(SOME_UUID)),
    (["a", 1], ["a", 1]),
    ({"a": 1}, {"a": 1}),
]


@pytest.mark.parametrize("kind", LAZY)
@pytest.mark.parametrize(("value", "sent"), VALUES, ids=[str(value) for value, _ in VALUES])
def test_a_lazy_value_is_sent_as_its_result(kind: str, value: object, sent: object) -> None:
    stand_in = LAZY[kind](value)
    data = {"a": stand_in, "in": [stand_in, {"deep": stand_in}]}
    for operation in (operations.track("42", "x", data), operations.identify("42", data)):
        assert document_of(operation)["attributes"] == {"a": sent, "in": [sent, {"deep": sent}]}


@pytest.mark.parametrize("kind", LAZY)
def test_names_and_identifiers_can_be_lazy(kind: str) -> None:
    make = LAZY[kind]
    assert operations.track(make("42"), make("seen")).keys == ("id:42",)
    assert operations.track(
        make(42), "seen", timestamp=make(NOON), idempotency_key=make("k")
    ).keys == ("id:42",)
    assert Person(id=make(SOME_UUID)).value == str(SOME_UUID)
    assert Person(email=make("Ada@Example.com")).value == "ada@example.com"
    assert Person(phone=make("+4915123456789")).value == "+4915123456789"
    assert Person(cio_id=make("cio_03")).value == "03"
    assert ObjectRef(make(1), make("acme")).key == "object:1:acme"
    assert document_of(operations.track("42", "seen", {make("name"): 1}))["attributes"] == {
        "name": 1
    }
    assert (
        document_of(operations.add_device("42", make("token"), make("ios")))["device"]["platform"]
        == "ios"
    )
    assert (
        document_of(operations.report_metric(make("d"), make("bounced"), recipient=make(5)))[
            "recipient"
        ]
        == 5
    )
    assert [each.keys for each in operations.add_to_segment(make(7), make(["42"]))] == [("id:42",)]
    assert document_of(operations.track("42", "seen", make({"a": 1})))["attributes"] == {"a": 1}


@pytest.mark.parametrize("kind", ["SimpleLazyObject", "LocalProxy"])
def test_people_and_objects_can_be_lazy(kind: str) -> None:
    make = LAZY[kind]
    someone, company = make(Person(email="ada@example.com")), make(ObjectRef("1", "acme"))
    assert operations.track(someone, "seen").keys == ("email:ada@example.com",)
    assert operations.identify_object(company, {"a": 1}).keys == ("object:1:acme",)
    assert operations.add_relationships(company, make([someone])).keys == ("object:1:acme",)
    assert document_of(operations.identify(someone, relationships=company))[
        "cio_relationships"
    ] == [{"identifiers": {"object_type_id": "1", "object_id": "acme"}}]


def test_text_that_is_translated_when_it_is_used_is_text() -> None:
    made = document_of(
        operations.track("42", lazystr("seen"), {"title": lazystr("Bücher"), lazystr("name"): 1})
    )
    assert made["name"] == "seen"
    assert made["attributes"] == {"title": "Bücher", "name": 1}


@pytest.mark.parametrize("kind", LAZY)
def test_what_stands_for_something_wrong_is_as_wrong(kind: str) -> None:
    error = refusal_of(lambda: operations.track("42", "x", {"a": LAZY[kind](b"x")}))
    assert (error.field, error.actual) == ("attributes.a", "bytes")


def unbound() -> object:
    raise RuntimeError("working outside of request context")


def test_what_stands_for_nothing_at_the_moment_is_refused() -> None:
    for stand_in in (LocalProxy(unbound), SimpleLazyObject(unbound), lazy(unbound, str)()):
        for call in (
            lambda value=stand_in: operations.track(value, "seen"),
            lambda value=stand_in: operations.track("42", value),
            lambda value=stand_in: operations.track("42", "seen", {"a": value}),
            lambda value=stand_in: operations.identify_object(value),
            lambda value=stand_in: operations.add_to_segment(1, value),
        ):
            with pytest.raises(InvalidOperationError):
                call()


def test_an_object_with_another_value_each_time_is_read_once() -> None:
    answers = iter([ObjectRef(1, "acme"), *[NOON] * 20])
    changing = LocalProxy(lambda: next(answers))
    document = document_of(operations.delete_object(changing))  # type: ignore[arg-type]
    assert document["identifiers"] == {"object_type_id": "1", "object_id": "acme"}
