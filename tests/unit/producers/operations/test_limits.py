"""Each limit accepts what is at it and refuses one more, with the field, limit and actual value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.refusals import refusal_of
from trackrelay import operations
from trackrelay.operations import limits
from trackrelay.operations.refs import ObjectRef, Person

Call = Callable[[int], Any]


def text(size: int) -> str:
    """``size`` bytes of UTF-8, in fewer characters."""
    return "ü" * (size // 2) + "x" * (size % 2)


def email(size: int) -> str:
    return text(size - len("@example.com")) + "@example.com"


def related(attributes: dict[str, Any]) -> Any:
    return operations.add_relationships("42", ObjectRef(1, "acme"), attributes=attributes)


def numbered(count: int) -> dict[str, int]:
    return {f"a{number}": number for number in range(count)}


BYTES: list[tuple[str, int, Call, str]] = [
    ("a person's id", 150, lambda size: operations.identify(text(size)), "identifiers.id"),
    (
        "an id in a merge",
        150,
        lambda size: operations.entity(
            {
                "type": "person",
                "action": "merge",
                "primary": {"id": text(size)},
                "secondary": {"id": "1"},
            }
        ),
        "primary.id",
    ),
    ("a cio_id", 150, lambda size: Person(cio_id=text(size)), "identifiers.cio_id"),
    ("an email", 254, lambda size: Person(email=email(size)), "identifiers.email"),
    (
        "an anonymous id",
        1000,
        lambda size: operations.track_anonymous(text(size), "x"),
        "identifiers.anonymous_id",
    ),
    ("an object's id", 150, lambda size: ObjectRef(1, text(size)), "identifiers.object_id"),
    (
        "an object's cio id",
        150,
        lambda size: ObjectRef(cio_object_id=text(size)),
        "identifiers.cio_object_id",
    ),
    (
        "an attribute's name",
        150,
        lambda size: operations.identify("42", {text(size): 1}),
        f"attributes.{text(151)}",
    ),
    (
        "an attribute",
        1000,
        lambda size: operations.identify("42", {"bio": text(size)}),
        "attributes.bio",
    ),
    (
        "an attribute that is a list",
        1000,
        lambda size: operations.identify("42", {"tags": [text(size - 4)]}),
        "attributes.tags",
    ),
    (
        "an attribute that is an object",
        1000,
        lambda size: operations.identify("42", {"o": {"a": text(size - 8)}}),
        "attributes.o",
    ),
    (
        "an object's attribute name",
        150,
        lambda size: operations.identify_object(ObjectRef(1, "a"), {text(size): 1}),
        f"attributes.{text(151)}",
    ),
    (
        "an object's attribute",
        1000,
        lambda size: operations.identify_object(ObjectRef(1, "a"), {"bio": text(size)}),
        "attributes.bio",
    ),
    (
        "a relationship's attribute name",
        150,
        lambda size: related({text(size): 1}),
        f"cio_relationships[0].relationship_attributes.{text(151)}",
    ),
    (
        "a relationship's attribute",
        1000,
        lambda size: related({"role": text(size)}),
        "cio_relationships[0].relationship_attributes.role",
    ),
    ("an event's name", 100, lambda size: operations.track("42", text(size)), "name"),
    ("a page's name", 100, lambda size: operations.page("42", text(size)), "name"),
    ("a screen's name", 100, lambda size: operations.screen("42", text(size)), "name"),
    (
        "an anonymous event's name",
        100,
        lambda size: operations.track_anonymous("c", text(size)),
        "name",
    ),
    ("a delivery's id", 1000, lambda size: operations.unsubscribe(text(size)), "identifiers.id"),
    (
        "a form's id",
        1000,
        lambda size: operations.submit_form(text(size), "42"),
        "identifiers.form_id",
    ),
    (
        "a device's token",
        1000,
        lambda size: operations.delete_device("42", text(size)),
        "device.token",
    ),
    (
        "an event's data",
        100_000,
        lambda size: operations.track("42", "x", {"a": text(size - 8)}),
        "attributes",
    ),
    (
        "a page's data",
        100_000,
        lambda size: operations.page("42", "x", {"a": text(size - 8)}),
        "attributes",
    ),
    (
        "an anonymous event's data",
        100_000,
        lambda size: operations.track_anonymous("c", "x", {"a": text(size - 8)}),
        "attributes",
    ),
    (
        "an anonymous screen's data",
        100_000,
        lambda size: operations.screen(Person(anonymous_id="c"), "x", {"a": text(size - 8)}),
        "attributes",
    ),
    (
        "a form's fields",
        100_000,
        lambda size: operations.submit_form("f", "42", {"a": text(size - 8)}),
        "attributes",
    ),
]


@pytest.mark.parametrize(
    ("what", "limit", "call", "field"), BYTES, ids=[what for what, *_ in BYTES]
)
def test_bytes_are_counted_and_not_characters(
    what: str, limit: int, call: Call, field: str
) -> None:
    call(limit)
    error = refusal_of(lambda: call(limit + 1))
    assert (error.field, error.limit, error.actual) == (
        field,
        f"{limit:,} bytes",
        f"{limit + 1:,} bytes",
    )
    assert f"{limit + 1:,} bytes; Customer.io takes {limit:,}" in str(error)


COUNTS: list[tuple[str, int, Call, str]] = [
    (
        "a person's attributes",
        300,
        lambda count: operations.identify("42", numbered(count)),
        "attributes",
    ),
    (
        "an object's attributes",
        300,
        lambda count: operations.identify_object(ObjectRef(1, "a"), numbered(count)),
        "attributes",
    ),
    (
        "a relationship's attributes",
        300,
        lambda count: related(numbered(count)),
        "cio_relationships[0].relationship_attributes",
    ),
    (
        "person_attributes",
        300,
        lambda count: operations.track("42", "x", person_attributes=numbered(count)),
        "attributes",
    ),
]


@pytest.mark.parametrize(
    ("what", "limit", "call", "field"), COUNTS, ids=[what for what, *_ in COUNTS]
)
def test_attributes_are_counted(what: str, limit: int, call: Call, field: str) -> None:
    call(limit)
    error = refusal_of(lambda: call(limit + 1))
    assert (error.field, error.limit, error.actual) == (
        field,
        f"{limit} attributes",
        f"{limit + 1} attributes",
    )


def test_an_anonymous_id_is_an_attribute_but_update_only_is_not() -> None:
    operations.identify("42", numbered(300), update_only=True)
    operations.identify("42", numbered(299), anonymous_id="c", update_only=True)
    assert (
        refusal_of(lambda: operations.identify("42", numbered(300), anonymous_id="c")).actual
        == "301 attributes"
    )


def filled(size: int, timestamp: int | None) -> dict[str, Any]:
    """Attributes of an identify whose document is ``size`` bytes."""
    attributes = {f"a{number:02}": "x" * 1000 for number in range(31)} | {"rest": ""}
    left = size - len(operations.identify("42", attributes, timestamp=timestamp).body)
    return attributes | {"rest": "x" * left}


@pytest.mark.parametrize(
    ("timestamp", "limit"), [(1714564800, 32_000), (None, 32_000 - limits.STAMP_BYTES)]
)
def test_an_operation_has_room_for_the_timestamp_it_gets_later(
    timestamp: int | None, limit: int
) -> None:
    assert (
        len(operations.identify("42", filled(limit, timestamp), timestamp=timestamp).body) == limit
    )
    error = refusal_of(
        lambda: operations.identify("42", filled(limit + 1, timestamp), timestamp=timestamp)
    )
    assert str(error) == "the identify of person id:42 is 32,001 bytes; Customer.io takes 32,000"
    assert (error.limit, error.actual) == ("32,000 bytes", "32,001 bytes")


def sized(
    size: int, person: Any, function: Callable[..., Any] = operations.track, **more: Any
) -> Any:
    bare = len(function(person, "x", {"a": ""}, **more).body)
    return function(person, "x", {"a": "x" * (size - bare)}, **more)


def test_an_event_over_what_v2_carries_keeps_its_document_for_v1() -> None:
    operation = sized(32_001, "42", timestamp=1714564800)
    assert len(operation.body) == 32_001
    assert operation.name == "person.event"
    assert operation.body.startswith(b'{"type":"person","identifiers":{"id":"42"},"action":"event"')


@pytest.mark.parametrize(
    ("person", "function", "why"),
    [
        (Person(phone="+14155552671"), operations.track, " of a person named by phone"),
        (
            Person(id="ada@example.com"),
            operations.track,
            " of a person whose id has the shape of an email, a cio_id or a phone",
        ),
        (
            Person(id="@ada"),
            operations.page,
            " of a person whose id has the shape of an email, a cio_id or a phone",
        ),
        (
            Person(id="cio_7"),
            operations.track,
            " of a person whose id has the shape of an email, a cio_id or a phone",
        ),
        (
            Person(id="+14155552671"),
            operations.track,
            " of a person whose id has the shape of an email, a cio_id or a phone",
        ),
        (Person(id="42"), operations.screen, ""),
    ],
)
def test_an_identifier_that_v1_misreads_is_refused_when_v2_cannot_carry_it(
    person: Person, function: Callable[..., Any], why: str
) -> None:
    sized(32_000, person, function, timestamp=1714564800)
    sized(32_000 - limits.STAMP_BYTES, person, function)
    error = refusal_of(lambda: sized(32_001, person, function, timestamp=1714564800))
    assert str(error).endswith(f"is 32,001 bytes; Customer.io takes 32,000{why}")
    assert error.actual == "32,001 bytes"


@pytest.mark.parametrize(
    "person",
    [
        Person(id="42"),
        Person(id="4915112345678"),
        Person(email="ada@example.com"),
        Person(cio_id="a3"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("function", [operations.track, operations.page])
def test_events_and_pages_of_whom_v1_knows_by_name_may_be_large(
    person: Person, function: Callable[..., Any]
) -> None:
    assert len(sized(90_000, person, function).body) == 90_000


@pytest.mark.parametrize("accepted", [1, "1", 2**31 - 1])
def test_a_segment_id_is_a_whole_number(accepted: Any) -> None:
    (operation,) = operations.add_to_segment(accepted, "42")
    assert f'"segment_id":{accepted}}}'.encode() in operation.body


@pytest.mark.parametrize("refused", [0, -1, 2**31, "x", "", "٣", "99999999999", True, None, 1.0])
def test_an_invalid_segment_id_is_refused(refused: Any) -> None:
    error = refusal_of(lambda: operations.add_to_segment(refused, "42"))
    assert error.field == "identifiers.segment_id"
    assert error.limit == "1 to 2,147,483,647"


def test_an_idempotency_key_has_1_to_255_characters_when_trimmed() -> None:
    assert (
        operations.track("42", "x", idempotency_key=f" {'ü' * 255}\n").idempotency_key == "ü" * 255
    )
    for bad, actual in (("x" * 256, "256 characters"), ("  ", "0 characters")):
        error = refusal_of(lambda bad=bad: operations.track("42", "x", idempotency_key=bad))  # type: ignore[misc]
        assert (error.field, error.limit, error.actual) == (
            "idempotency_key",
            "1 to 255 characters",
            actual,
        )
