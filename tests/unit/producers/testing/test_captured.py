"""Captured jobs of an application, and the messages when they are not what a test expects."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

import trackrelay
from trackrelay import (
    InvalidOperationError,
    ObjectRef,
    Person,
    Producer,
    aio,
    identify,
    suppress,
    track,
    track_anonymous,
)
from trackrelay.outbox import Outbox
from trackrelay.testing import Captured, DeliveryRefusedError, capture
from trackrelay.worker.testing import DeliveringSandbox


def test_operations_are_captured_without_redis_and_in_order() -> None:
    with capture() as captured:
        identify("42", {"plan": "pro"})
        job = track("42", "bought", {"total": 1}, person_attributes={"orders": 1})
    assert [each.kind for each in captured] == [
        "person.identify",
        "person.identify",
        "person.event",
    ]
    assert captured.assert_tracked("42", "bought").id == job
    assert len(captured) == 3
    assert captured[1].attributes == {"orders": 1}


def test_what_customerio_would_refuse_still_raises() -> None:
    with capture() as captured, pytest.raises(InvalidOperationError):
        track("42", "")
    captured.assert_nothing_enqueued()


def test_afterwards_everything_is_as_before() -> None:
    redis_url = "redis://127.0.0.1:1/0"
    trackrelay.configure(redis_url=redis_url, source="before")
    before = trackrelay.default.default_producer()
    with capture():
        trackrelay.configure(source="inside")
        track("42", "seen")
    assert trackrelay.default.default_producer() is before
    assert trackrelay.default.overrides() == {"redis_url": redis_url, "source": "before"}


def test_captures_nest_and_what_is_inside_stays_inside() -> None:
    with capture() as outer:
        track("1", "outside")
        with capture() as inner:
            track("1", "inside")
        track("1", "outside again")
    assert [each.name for each in outer] == ["outside", "outside again"]
    assert [each.name for each in inner] == ["inside"]


def test_coroutines_outboxes_pipelines_and_explicit_producers_are_captured_too() -> None:
    own = Producer(redis_url="redis://127.0.0.1:1/0")
    with capture(own) as captured:
        asyncio.run(aio.track("1", "by coroutine"))
        with sa.create_engine("sqlite://").begin() as connection:
            Outbox(connection).track("1", "by outbox")
        with trackrelay.pipeline() as pipeline:
            pipeline.track("1", "by pipeline")
        own.track("1", "by its own producer")
    names = [each.name for each in captured.events]
    assert names == ["by coroutine", "by outbox", "by pipeline", "by its own producer"]


def test_values_are_compared_as_customerio_gets_them() -> None:
    with capture() as captured:
        track(
            "42",
            "bought",
            {"total": Decimal("12.50"), "at": datetime(2026, 1, 1, tzinfo=UTC), "paid": True},
        )
    captured.assert_tracked("42", "bought", total=12.5, at=1_767_225_600)
    captured.assert_tracked(
        "42", "bought", {"total": Decimal("12.5")}, at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    with pytest.raises(AssertionError, match="paid"):
        captured.assert_tracked("42", "bought", paid=1)


def test_a_person_is_named_as_for_track() -> None:
    with capture() as captured:
        track(Person(email="Ada@Example.com"), "seen")
        track_anonymous("anonymous-0001", "looked")
        identify("42", {"email": "ada@example.com"}, anonymous_id="anonymous-0001")
        trackrelay.identify_object(ObjectRef("1", "acme"), {"plan": "pro"})
        suppress("42")
    captured.assert_tracked(Person(email="ada@example.com"), "seen")
    captured.assert_tracked(Person(anonymous_id="anonymous-0001"), "looked")
    captured.assert_joined("42", "anonymous-0001")
    captured.assert_enqueued("object.identify", ObjectRef("1", "acme"), plan="pro")
    captured.assert_enqueued("person.suppress", "42", times=1)
    captured.assert_not_tracked("looked", "42")


def message(captured: Captured, person: str, name: str, **data: object) -> str:
    with pytest.raises(AssertionError) as raised:
        captured.assert_tracked(person, name, **data)  # type: ignore[arg-type]
    return str(raised.value)


def test_a_failure_shows_how_the_nearest_one_differs_and_all_that_was_enqueued() -> None:
    with capture() as captured:
        track("42", "bought", {"total": 12.5, "currency": "EUR"})
        track("42", "bought", {"total": 1})
        identify("7", {"plan": "pro"})
    failure = message(captured, "42", "bought", total=129.5, currency="EUR")
    assert failure == (
        "no event 'bought' of id:42 with total=129.5, currency=\"EUR\" was enqueued; "
        "the nearest of 2 differs "
        "(- expected, + enqueued):\n"
        "- total: 129.5\n"
        "+ total: 12.5\n"
        "\n"
        "Enqueued, in order:\n"
        '  1. person.event of id:42 \'bought\' {"total":12.5,"currency":"EUR"}\n'
        "  2. person.event of id:42 'bought' {\"total\":1}\n"
        '  3. person.identify of id:7 {"plan":"pro"}'
    )
    assert "+ coupon is missing" in message(captured, "42", "bought", coupon="X")
    assert message(captured, "8", "bought").startswith("no event 'bought' of id:8 was enqueued\n")


def test_a_failure_says_that_nothing_was_enqueued_or_too_often_or_unexpectedly() -> None:
    with capture() as captured:
        assert "Nothing was enqueued." in message(captured, "42", "bought")
        track("42", "bought")
        track("42", "bought")
    assert "was enqueued twice, not once" in message(captured, "42", "bought", times=1)
    with pytest.raises(AssertionError, match="event 'bought' was enqueued twice"):
        captured.assert_not_tracked("bought")
    with pytest.raises(AssertionError, match="operation was enqueued twice"):
        captured.assert_nothing_enqueued()
    with pytest.raises(ValueError, match="assert_not_tracked"):
        captured.assert_tracked("42", "bought", times=0)
    captured.clear()
    captured.assert_nothing_enqueued()


def test_delivered_in_process_people_are_as_customerio_would_have_them() -> None:
    sandbox = DeliveringSandbox()
    with capture(deliver_to=sandbox) as captured:
        track_anonymous("anonymous-0001", "looked", {"sku": "a"})
        identify("42", {"email": "ada@example.com"}, anonymous_id="anonymous-0001")
        track("42", "bought", {"pad": "x" * 40_000}, person_attributes={"orders": 1})
        trackrelay.add_to_segment(7, ["42"])
        trackrelay.submit_form("contact", Person(email="ada@example.com"), {"topic": "hello"})
        trackrelay.report_metric("d1", "opened")
        identify("43", {"plan": "pro"})
        trackrelay.merge(primary="42", secondary="43")
        suppress("44")
        track("44", "swallowed")
    person = sandbox.person("email:ada@example.com")
    assert person is not None
    assert [event["name"] for event in person["events"]][:2] == ["looked", "bought"]
    assert person["attributes"] | {"orders": 1, "plan": "pro"} == person["attributes"]
    assert sandbox.person("id:43") is None
    assert sandbox.others()["segments"] == {"7": ["id:42"]}
    assert [event["name"] for event in sandbox.events()] == ["looked", "bought"]
    assert len(captured.events) == 3


def test_what_the_sandbox_refuses_fails_the_test() -> None:
    sandbox = DeliveringSandbox(api_key="one")
    sandbox._sandbox.credentials.api_key = "rotated"
    with (
        pytest.raises(DeliveryRefusedError, match=r"person\.event of id:42: 401"),
        capture(deliver_to=sandbox),
    ):
        track("42", "seen")
