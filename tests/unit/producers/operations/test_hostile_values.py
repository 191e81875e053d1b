"""Values of any type, with any code of their own, are taken or refused with a bounded error."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from fractions import Fraction
from typing import Any
from unittest import mock

import pytest

import trackrelay
from tests.support.refusals import refusal_of
from trackrelay import InvalidOperationError, ObjectRef, Operation, Person, Producer, operations
from trackrelay.operations.operation import Operation as OperationType

HUGE = 10**5000
WORDS = "x" * 1_000_000


class Raises:
    """Raises whatever is done with it."""

    def _raise(self, *_: object, **__: object) -> Any:
        raise RuntimeError("a secret")

    __str__ = __repr__ = __len__ = __iter__ = __bool__ = __hash__ = __eq__ = __getattr__ = _raise  # type: ignore[assignment]
    __float__ = __int__ = __index__ = __call__ = __contains__ = __getitem__ = __format__ = _raise


class RaisingDict(dict[str, object]):
    def items(self) -> Any:
        raise RuntimeError("a secret")


class RaisingMapping(Mapping[str, object]):
    def __getitem__(self, key: str) -> object:
        raise RuntimeError("a secret")

    def __iter__(self) -> Iterator[str]:
        return iter(["type", "action", "identifiers", "a"])

    def __len__(self) -> int:
        return 4


class Endless(Mapping[str, object]):
    """Claims to be small, and has no end."""

    def __getitem__(self, key: str) -> object:
        return 1

    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield str(number)

    def __len__(self) -> int:
        return 3


class EndlessList(Sequence[int]):
    def __getitem__(self, index: Any) -> Any:
        return 1

    def __len__(self) -> int:
        return 3


class Offset(tzinfo):
    def __init__(self, offset: Any) -> None:
        self._offset = offset

    def utcoffset(self, _: object) -> Any:
        if isinstance(self._offset, Exception):
            raise self._offset
        return self._offset

    def tzname(self, _: object) -> Any:
        raise RuntimeError

    dst = utcoffset


class Deep(Sequence[Any]):
    """Contains itself, as a new object each time."""

    def __getitem__(self, index: Any) -> Any:
        if index:
            raise IndexError
        return Deep()

    def __len__(self) -> int:
        return 1


class NamelessMeta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no name")


NASTY: dict[str, Any] = {
    "an integer of 5,000 digits": HUGE,
    "a negative one": -HUGE,
    "a fraction beyond floats": Fraction(10**400),
    "a range without end": range(10**30),
    "what raises": Raises(),
    "a dict that raises": RaisingDict(a=1),
    "a mapping that raises": RaisingMapping(),
    "a class without a name": type("", (), {})(),
    "a class with a long name": type("x" * 100_000, (), {})(),
    "a class with control characters in its name": type("\x1b[31m", (), {})(),
    "a class whose name raises": NamelessMeta("Odd", (), {})(),
    "a mapping without end": Endless(),
    "a list in itself": Deep(),
    "an offset of 30 hours": datetime(2024, 1, 1, tzinfo=Offset(timedelta(hours=30))),
    "an offset that is text": datetime(2024, 1, 1, tzinfo=Offset("1h")),
    "a zone that raises": datetime(2024, 1, 1, tzinfo=Offset(KeyError())),
    "something disguised as text": mock.Mock(spec=str),
    "something disguised as a number": mock.Mock(spec=int),
    "something disguised as a time": mock.Mock(spec=datetime),
    "a list of 100,001": [0] * 100_001,
    "a generator": (number for number in range(3)),
    "a module": trackrelay,
    "a class": Raises,
    "a surrogate": "\ud800",
    "bytes": b"\xff",
    "a complex number": 1j,
    "a text of a million characters": WORDS,
    "an object": object(),
    "infinity": float("inf"),
}

#: Each with a place for a value.
PLACES: dict[str, Callable[[Any], object]] = {
    "a person": lambda value: operations.track(value, "seen"),
    "a person's id": lambda value: Person(id=value),
    "an email": lambda value: Person(email=value),
    "a phone": lambda value: Person(phone=value),
    "a cio_id": lambda value: Person(cio_id=value),
    "an event's name": lambda value: operations.track("42", value),
    "an event's data": lambda value: operations.track("42", "seen", value),
    "a datum": lambda value: operations.track("42", "seen", {"a": value}),
    "a datum in a list": lambda value: operations.track("42", "seen", {"a": [[value]]}),
    "a datum with a meaning": lambda value: operations.track("42", "seen", {"recipient": value}),
    "person_attributes": lambda value: operations.track("42", "seen", person_attributes=value),
    "a timestamp": lambda value: operations.track("42", "seen", timestamp=value),
    "an idempotency key": lambda value: operations.track("42", "seen", idempotency_key=value),
    "an attribute": lambda value: operations.identify("42", {"a": value, "email": "a@example.com"}),
    "an email attribute": lambda value: operations.identify("42", {"email": value}),
    "an anonymous id": lambda value: operations.identify(
        "42", {"anonymous_id": value}, anonymous_id=value
    ),
    "relationships": lambda value: operations.identify("42", relationships=value),
    "update_only": lambda value: operations.identify("42", {}, update_only=value),
    "a visitor": lambda value: operations.track_anonymous(value, "seen"),
    "who is merged": lambda value: operations.merge(primary=value, secondary="2"),
    "a token": lambda value: operations.add_device("42", value, "ios"),
    "a platform": lambda value: operations.add_device("42", "t", value),
    "a device's attributes": lambda value: operations.add_device(
        "42", "t", "ios", attributes=value
    ),
    "an object": operations.identify_object,
    "an object's type": lambda value: ObjectRef(value, "acme"),
    "an object's id": lambda value: ObjectRef("1", value),
    "a relationship": lambda value: operations.add_relationships("42", value),
    "a relationship's attributes": lambda value: operations.add_relationships(
        "42", ObjectRef("1", "acme"), attributes=value
    ),
    "who has relationships": lambda value: operations.delete_relationships(
        value, ObjectRef("1", "acme")
    ),
    "a segment": lambda value: operations.add_to_segment(value, "42"),
    "a form": lambda value: operations.submit_form(value, "42"),
    "a form's fields": lambda value: operations.submit_form("f", "42", value),
    "a field": lambda value: operations.submit_form("f", "42", {"a": value}),
    "a delivery": operations.unsubscribe,
    "a metric": lambda value: operations.report_metric("d", value),
    "a recipient": lambda value: operations.report_metric("d", "bounced", recipient=value),
    "a reason": lambda value: operations.report_metric("d", "bounced", reason=value),
    "a document": operations.entity,
    "a document's type": lambda value: operations.entity({"type": value, "action": "delete"}),
    "a document's id": lambda value: operations.entity(
        {"type": "person", "action": "event", "identifiers": {"id": 1}, "name": "a", "id": value}
    ),
    "a document's identifiers": lambda value: operations.entity(
        {"type": "person", "action": "delete", "identifiers": value}
    ),
    "a document's device": lambda value: operations.entity(
        {"type": "person", "action": "add_device", "identifiers": {"id": 1}, "device": value}
    ),
    "a document's relationships": lambda value: operations.entity(
        {
            "type": "person",
            "action": "add_relationships",
            "identifiers": {"id": 1},
            "cio_relationships": value,
        }
    ),
    "what is enqueued": lambda value: Producer(backend="off").enqueue(value),
    "what is enqueued among many": lambda value: Producer(backend="off").enqueue_many([value]),
}


def refusal_by(place: str, value: object) -> InvalidOperationError | None:
    """Return the refusal of ``value`` in a place, or None if it was taken.

    Any other exception fails the test.
    """
    try:
        PLACES[place](value)
    except InvalidOperationError as error:
        return error
    return None


@pytest.mark.parametrize("nasty", NASTY)
def test_a_value_is_taken_or_refused_and_nothing_else(nasty: str) -> None:
    for place in PLACES:
        error = refusal_by(place, NASTY[nasty])
        if error is not None:
            assert "a secret" not in str(error), place
            assert 0 < len(str(error)) <= 1_000, place
            assert str(error).isprintable(), place
            assert 0 < len(error.field) <= 500, place
            assert len(error.limit) <= 200, place
            assert len(error.actual) <= 200, place


@pytest.mark.parametrize("place", [place for place in PLACES if place != "update_only"])
def test_a_name_of_another_type_or_size_is_refused_briefly(place: str) -> None:
    for name in (HUGE, "\ud800", "x" * 1_000_000, ("a", 1), None, 1.5, date(2024, 1, 1), b"x"):
        with pytest.raises(InvalidOperationError) as caught:
            PLACES[place]({name: 1})
        assert len(str(caught.value)) <= 1_000
        assert len(caught.value.field) <= 500


def test_an_error_says_which_part_of_a_document_cannot_be_read_and_keeps_the_cause() -> None:
    error = refusal_of(lambda: operations.track("42", "seen", {"cart": [{"item": RaisingDict()}]}))
    assert error.field == "attributes.cart[0].item"
    assert str(error) == (
        "data 'cart[0].item' of event 'seen' of person id:42 cannot be read: "
        "looking at it raised RuntimeError"
    )
    assert isinstance(error.__cause__, RuntimeError)


def test_only_as_many_segment_members_are_taken_as_one_call_can_enqueue() -> None:
    assert refusal_of(lambda: operations.add_to_segment(1, range(10**30))).limit == "100,000 people"


def test_an_endless_list_of_relationships_is_refused() -> None:
    def companies() -> Iterator[ObjectRef]:
        while True:
            yield ObjectRef("1", "acme")

    assert (
        refusal_of(lambda: operations.identify("42", relationships=companies())).field
        == "cio_relationships"
    )


def test_enqueue_many_takes_nothing_but_iterables_of_operations() -> None:
    producer = Producer(backend="memory")
    with pytest.raises(
        InvalidOperationError, match="takes an iterable of operations, not a number"
    ):
        producer.enqueue_many(5)  # type: ignore[arg-type]


# ── memory ────────────────────────────────────────────────────────────────────────────────────────

AMPLIFIED: dict[str, Callable[[], object]] = {
    "an event's list": lambda: operations.track("42", "e", {"a": [WORDS] * 99_000}),
    "an event's names": lambda: operations.track("42", "e", {"a": [{WORDS: 1}] * 90_000}),
    "an event's data": lambda: operations.track(
        "42", "e", {str(number): WORDS for number in range(9_000)}
    ),
    "an attribute's list": lambda: operations.identify("42", {"a": [WORDS] * 99_000}),
    "attributes": lambda: operations.identify("42", {str(number): WORDS for number in range(300)}),
    "a form": lambda: operations.submit_form(
        "f", "42", {str(number): WORDS for number in range(9_000)}
    ),
    "a device": lambda: operations.add_device(
        "42", "t", "ios", attributes={f"{n}": WORDS for n in range(9_000)}
    ),
    "relationships": lambda: operations.identify(
        "42",
        relationships=[
            (ObjectRef("1", "a"), {f"attribute {number}": "x" * 999 for number in range(300)})
        ]
        * 900,
    ),
    "more relationships than fit": lambda: operations.add_relationships(
        "42", [ObjectRef("1", "a")] * 1_000_000
    ),
    "a metric": lambda: operations.report_metric(
        "d", "bounced", reason=WORDS, href=WORDS, recipient=WORDS
    ),
    "a set": lambda: operations.track(
        "42", "e", {"a": {(str(number), *[WORDS] * 900) for number in range(100)}}
    ),
}


@pytest.mark.parametrize("what", AMPLIFIED)
def test_a_small_value_that_stands_for_a_large_one_is_refused_before_it_is_written_out(
    what: str,
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidOperationError):
            AMPLIFIED[what]()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60_000_000


# ── operations that nobody checked ────────────────────────────────────────────────────────────────


def unchecked(**changes: Any) -> OperationType:
    made = operations.track("42", "seen", {"a": 1})
    fields = {
        name: getattr(made, name) for name in ("id", "type", "action", "keys", "body", "stamp")
    }
    return Operation(**(fields | changes))


def test_an_operation_of_anybodys_making_is_checked_when_it_is_enqueued() -> None:
    producer = Producer(backend="memory")
    good = unchecked()
    assert producer.enqueue(good) == good.id
    assert producer.enqueue_many([good, unchecked()]) == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"body": b""}, "body"),
        ({"body": b"null"}, "operation"),
        ({"body": b"[1]"}, "operation"),
        ({"body": b"{}"}, "type"),
        ({"body": b"[" * 100_000}, "body"),
        ({"body": "x"}, "body"),
        ({"body": None}, "body"),
        ({"id": "short"}, "id"),
        ({"id": 5}, "id"),
        ({"keys": ("id:43",)}, "keys"),
        ({"keys": ()}, "keys"),
        ({"action": "page"}, "action"),
        ({"type": "anonymous"}, "type"),
        ({"stamp": False}, "stamp"),
        ({"companion": 5}, "operation"),
        ({"companion": operations.track("42", "x")}, "companion"),
        ({"companion": operations.identify("43", {"a": 1})}, "companion"),
    ],
)
def test_what_it_says_of_itself_must_be_what_its_body_says(
    changes: dict[str, Any], field: str
) -> None:
    for enqueue in (
        lambda operation: Producer(backend="memory").enqueue(operation),
        lambda operation: Producer(backend="memory").enqueue_many([operation]),
    ):
        with pytest.raises(InvalidOperationError) as caught:
            enqueue(unchecked(**changes))
        assert caught.value.field == field


def test_refused_ones_among_many_are_reported_and_the_others_enqueued() -> None:
    producer = Producer(backend="memory")
    reported: list[int] = []
    many = (
        each
        for each in [
            operations.track("42", "a"),
            None,
            unchecked(body=b"{}"),
            operations.track("42", "b"),
        ]
    )
    count = producer.enqueue_many(many, on_invalid=lambda index, _: reported.append(index))  # type: ignore[arg-type]
    assert (count, reported) == (2, [1, 2])


def test_a_checked_operation_is_not_checked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operation = operations.track(
        "42", "seen", person_attributes={"plan": "pro"}, timestamp=datetime.now(UTC)
    )
    monkeypatch.setattr(
        "trackrelay.operations.validation.check", mock.Mock(side_effect=AssertionError)
    )
    assert Producer(backend="memory").enqueue(operation) == operation.id


def test_an_operation_does_not_show_its_body() -> None:
    assert "secret" not in repr(operations.track("42", "seen", {"a": "secret"}))
