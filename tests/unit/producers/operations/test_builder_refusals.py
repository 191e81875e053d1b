"""What Customer.io would refuse is refused where it is made."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.refusals import refusal_of
from trackrelay import InvalidOperationError
from trackrelay import operations as ops
from trackrelay.operations.refs import ObjectRef, Person

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: ops.identify(Person(anonymous_id="c")), "identifiers"),
        (lambda: ops.delete_person(Person(anonymous_id="c")), "identifiers"),
        (lambda: ops.merge(primary=Person(phone="+14155552671"), secondary="1"), "primary"),
        (lambda: ops.merge(primary="1", secondary=Person(anonymous_id="c")), "secondary"),
        (lambda: ops.merge(primary="1", secondary=1), "secondary"),
        (
            lambda: ops.merge(primary=Person(email="A@b.co"), secondary=Person(email="a@B.co")),
            "secondary",
        ),
        (lambda: ops.add_to_segment(7, Person(phone="+14155552671")), "person"),
        (lambda: ops.submit_form("f", Person(cio_id="a3")), "person"),
        (lambda: ops.add_relationships("42", "43"), "cio_relationships[0].identifiers"),
        (
            lambda: ops.add_relationships(ObjectRef(1, "a"), ObjectRef(1, "b")),
            "cio_relationships[0].identifiers",
        ),
        (
            lambda: ops.add_relationships(ObjectRef(1, "a"), Person(phone="+14155552671")),
            "cio_relationships[0].identifiers",
        ),
        (lambda: ops.add_relationships("42", []), "cio_relationships"),
        (lambda: ops.delete_relationships(ObjectRef(1, "a"), []), "cio_relationships"),
        (lambda: ops.identify_object("acme"), "identifiers"),  # type: ignore[arg-type]
        (lambda: ops.add_device("42", "t", "windows"), "device.platform"),
        (lambda: ops.add_device("42", "", "ios"), "device.token"),
        (lambda: ops.add_device("42", "t", "ios", attributes={"a": None}), "device.attributes.a"),
        (
            lambda: ops.add_device("42", "t", "ios", attributes={"push_enabled": "yes"}),
            "device.attributes.push_enabled",
        ),
        (
            lambda: ops.add_device("42", "t", "ios", attributes={"_last_status": "sent"}),
            "device.attributes._last_status",
        ),
        (lambda: ops.submit_form("..", "42"), "identifiers.form_id"),
        (lambda: ops.submit_form("f", "42", {"form_id": "x"}), "attributes.form_id"),
        (lambda: ops.submit_form("f", "42", {"email": "a@b.co"}), "attributes.email"),
        (lambda: ops.submit_form("f", "42", {"id": "43"}), "attributes.id"),
        (lambda: ops.submit_form("f", "42", {"tags": ["a"]}), "attributes.tags"),
        (lambda: ops.submit_form("f", "42", {"tag": None}), "attributes.tag"),
        (lambda: ops.unsubscribe(".."), "identifiers.id"),
        (lambda: ops.unsubscribe(None), "identifiers.id"),  # type: ignore[arg-type]
        (lambda: ops.report_metric("d", "open"), "name"),
        (lambda: ops.report_metric("d", "opened", recipient=True), "recipient"),
        (lambda: ops.report_metric("d", "opened", reason=7), "reason"),  # type: ignore[arg-type]
        (lambda: ops.track("42", None), "name"),  # type: ignore[arg-type]
        (lambda: ops.track("42", " \n"), "name"),
        (lambda: ops.track("42", "a\0b"), "name"),
        (lambda: ops.track("42", "x", [1]), "attributes"),  # type: ignore[arg-type]
        (lambda: ops.track("42", "x", ""), "attributes"),  # type: ignore[arg-type]
        (lambda: ops.track("42", "x", {"recipient": "Bob"}), "attributes.recipient"),
        (lambda: ops.track("42", "x", {"from_address": 7}), "attributes.from_address"),
        (lambda: ops.page("42", "x", {"title": 7}), "attributes.title"),
        (lambda: ops.page("42", "x", {"keywords": "a"}), "attributes.keywords"),
        (lambda: ops.identify("42", "x"), "attributes"),  # type: ignore[arg-type]
        (lambda: ops.identify("42", [], update_only=True), "attributes"),  # type: ignore[arg-type]
        (lambda: ops.identify("42", {"": 1}), "attributes."),
        (lambda: ops.identify("42", {"email": "ada"}), "attributes.email"),
        (lambda: ops.identify("42", {"email": 7}), "attributes.email"),
        (lambda: ops.identify("42", {"_update": "yes"}), "attributes._update"),
        (lambda: ops.identify("42", {"_timestamp": -1}), "attributes._timestamp"),
        (lambda: ops.identify("42", {"cio_relationships": []}), "attributes.cio_relationships"),
        (
            lambda: ops.identify(
                "42", {"cio_subscription_preferences": {"topics": {"topic_1": 1}}}
            ),
            "attributes.cio_subscription_preferences.topics.topic_1",
        ),
        (
            lambda: ops.identify("42", {"cio_subscription_preferences": "{}"}),
            "attributes.cio_subscription_preferences",
        ),
        (lambda: ops.identify("42", anonymous_id=""), "attributes.anonymous_id"),
        (
            lambda: ops.identify("42", {"anonymous_id": "a"}, anonymous_id="b"),
            "attributes.anonymous_id",
        ),
    ],
)
def test_what_customer_io_would_refuse_is_refused_at_the_call(call: Any, field: str) -> None:
    error = refusal_of(call)
    assert (
        error.field.startswith(field)
        if field == "identifiers"
        else error.field in (field, f"{field}.phone", f"{field}.anonymous_id", f"{field}.cio_id")
    )


@pytest.mark.parametrize(
    ("who", "attributes"),
    [
        (Person(id="42"), {"id": "43"}),
        (Person(id="42"), {"id": None}),
        (Person(email="a@b.co"), {"email": "b@b.co"}),
        (Person(email="a@b.co"), {"email": ""}),
        (Person(phone="+14155552671"), {"phone": "415 555 2671"}),
        (Person(cio_id="a3"), {"cio_id": "a4"}),
    ],
)
def test_an_identifier_among_the_attributes_must_not_contradict_the_call(
    who: Person, attributes: dict[str, Any]
) -> None:
    error = refusal_of(lambda: ops.identify(who, attributes))
    assert error.field == f"attributes.{who.kind}"
    assert f"contradicts the {who.kind} in the call; to change an identifier" in str(error)


@pytest.mark.parametrize(
    ("who", "attributes"),
    [
        (Person(id="42"), {"id": 42}),
        (Person(email="a@b.co"), {"email": " A@B.co"}),
        (Person(id="42"), {"email": "new@b.co", "phone": "any way they write it"}),
        (Person(id="42"), {"email": None}),
        (Person(id="42"), {"email": ""}),
    ],
)
def test_an_identifier_among_the_attributes_may_say_the_same_or_something_new(
    who: Person, attributes: Any
) -> None:
    ops.identify(who, attributes)


def test_an_objects_identifiers_are_not_contradicted_either() -> None:
    ops.identify_object(ObjectRef(1, "acme"), {"object_id": "acme"})
    error = refusal_of(lambda: ops.identify_object(ObjectRef(1, "acme"), {"object_id": "other"}))
    assert error.field == "attributes.object_id"


def test_a_callers_attributes_are_left_alone() -> None:
    given = {"email": " A@b.co ", "nested": {"at": NOON}}
    ops.identify("42", given, anonymous_id="c", update_only=True)
    ops.track("42", "x", given)
    assert given == {"email": " A@b.co ", "nested": {"at": NOON}}


def test_the_refused_people_of_a_segment_call_are_kept_without_frames() -> None:
    """With the frames of its check, each of 50,000 refused people would take 6 kB."""
    people = ["x" * 151] * 1_000
    tracemalloc.start()
    try:
        with pytest.raises(InvalidOperationError) as raised:
            ops.add_to_segment(7, people)
        parts = len(raised.value.parts)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert parts == 1_000
    assert kept < 2_500 * parts
