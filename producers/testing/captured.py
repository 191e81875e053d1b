"""Captured operations, and assertions about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import msgspec

from trackrelay.operations.coercion import JSON, json_object
from trackrelay.operations.keys import key_of
from trackrelay.operations.operation import Operation
from trackrelay.operations.payloads import person_identifiers
from trackrelay.operations.refs import ObjectRef, PersonLike

from . import assertion_messages

EVENTS = ("event", "page", "screen")


@dataclass(frozen=True)
class CapturedOperation:
    """An operation as it would go to Customer.io."""

    operation: Operation

    @cached_property
    def document(self) -> dict[str, Any]:
        """The decoded operation."""
        document: dict[str, Any] = msgspec.json.decode(self.operation.body)
        return document

    @property
    def id(self) -> str:
        """The job's id, which is the event's id too."""
        return self.operation.id

    @property
    def kind(self) -> str:
        """``type.action``, e.g. ``person.identify``."""
        return self.operation.name

    @property
    def key(self) -> str:
        """The ordering key, e.g. ``id:42``."""
        return self.operation.keys[0]

    @property
    def name(self) -> str | None:
        """An event's name."""
        name: str | None = self.document.get("name")
        return name

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of a person or an object, or the data of an event."""
        attributes: dict[str, Any] = self.document.get("attributes") or {}
        return attributes

    @property
    def is_event(self) -> bool:
        """Whether it is an event, a page or a screen, of a known or an anonymous person."""
        return self.operation.action in EVENTS and self.operation.type in ("person", "anonymous")


class Captured(Sequence[CapturedOperation]):
    """The operations that were enqueued, in order.

    An identify that goes with an event stands before it.

    Values are compared as Customer.io gets them: ``total=Decimal("12.50")`` equals 12.5, and a
    datetime its unix seconds.
    """

    def __init__(self, operations: list[Operation]) -> None:
        self._operations = operations

    @property
    def all(self) -> list[CapturedOperation]:
        """All of them."""
        both = ((each.companion, each) if each.companion else (each,) for each in self._operations)
        return [CapturedOperation(operation) for pair in both for operation in pair]

    @property
    def events(self) -> list[CapturedOperation]:
        """The events, pages and screens."""
        return [each for each in self.all if each.is_event]

    def clear(self) -> None:
        """Forget the operations so far."""
        self._operations.clear()

    def assert_tracked(
        self,
        person: PersonLike,
        name: str,
        data: Mapping[str, Any] | None = None,
        /,
        *,
        times: int | None = None,
        **some_data: Any,
    ) -> CapturedOperation:
        """Assert that an event was enqueued.

        Args:
            person: an id or a Person; ``Person(anonymous_id=…)`` for an anonymous one.
            name: the event's name.
            data: values that its data must contain.
            times: exactly how often; left out, at least once.
            some_data: more such values, for names that are valid in Python.

        Returns:
            the last event that matches.
        """
        __tracebackhide__ = True  # end the traceback in the test
        what = f"event {name!r} of {_key(person)}"
        about = [each for each in self.events if (each.key, each.name) == (_key(person), name)]
        return self._found(what, about, _expected(data, some_data), times)

    def assert_identified(
        self,
        person: PersonLike,
        attributes: Mapping[str, Any] | None = None,
        /,
        **some_attributes: Any,
    ) -> CapturedOperation:
        """Assert that a person was updated with these attributes, and return the last match."""
        __tracebackhide__ = True
        return self.assert_enqueued("person.identify", person, attributes, **some_attributes)

    def assert_joined(self, person: PersonLike, anonymous_id: str) -> CapturedOperation:
        """Assert that the events of an anonymous visitor became a person's."""
        __tracebackhide__ = True
        return self.assert_identified(person, anonymous_id=anonymous_id)

    def assert_enqueued(
        self,
        kind: str,
        whom: PersonLike | ObjectRef | None = None,
        attributes: Mapping[str, Any] | None = None,
        /,
        *,
        times: int | None = None,
        **some_attributes: Any,
    ) -> CapturedOperation:
        """Assert that an operation of a kind was enqueued, e.g.

        ``person.suppress`` or ``object.identify``.

        Args:
            kind: ``type.action``.
            whom: the person or object; None for any.
            attributes, some_attributes: values that its attributes must contain.
            times: exactly how often; left out, at least once.
        """
        __tracebackhide__ = True
        of_kind = [each for each in self.all if each.kind == kind]
        about = [each for each in of_kind if whom is None or each.key == _key(whom)]
        what = kind if whom is None else f"{kind} of {_key(whom)}"
        return self._found(what, about, _expected(attributes, some_attributes), times)

    def assert_not_tracked(self, name: str, person: PersonLike | None = None) -> None:
        """Assert that no event of that name was enqueued (for that person)."""
        __tracebackhide__ = True
        found = [
            each
            for each in self.events
            if each.name == name and (person is None or each.key == _key(person))
        ]
        if found:
            raise AssertionError(assertion_messages.unexpected(f"event {name!r}", found, self.all))

    def assert_nothing_enqueued(self) -> None:
        """Assert that nothing was enqueued."""
        __tracebackhide__ = True
        if self.all:
            raise AssertionError(assertion_messages.unexpected("operation", self.all, self.all))

    def _found(
        self,
        what: str,
        about: list[CapturedOperation],
        expected: dict[str, JSON],
        times: int | None,
    ) -> CapturedOperation:
        __tracebackhide__ = True
        if times is not None and times < 1:
            raise ValueError(
                f"times is {times}, but must be at least 1; use assert_not_tracked() for events "
                "that must not be there"
            )
        met = [
            each
            for each in about
            if assertion_messages.differences(expected, each.attributes) == []
        ]
        if not met or (times is not None and len(met) != times):
            raise AssertionError(
                assertion_messages.missing(what, expected, times, met, about, self.all)
            )
        return met[-1]

    def __len__(self) -> int:
        return len(self.all)

    def __iter__(self) -> Iterator[CapturedOperation]:
        return iter(self.all)

    @overload
    def __getitem__(self, index: int) -> CapturedOperation: ...
    @overload
    def __getitem__(self, index: slice) -> list[CapturedOperation]: ...
    def __getitem__(self, index: int | slice) -> CapturedOperation | list[CapturedOperation]:
        return self.all[index]

    def __repr__(self) -> str:
        return f"<Captured: {assertion_messages.listed(self.all)}>"


def _key(whom: PersonLike | ObjectRef) -> str:
    if isinstance(whom, ObjectRef):
        return whom.key
    ((kind, value),) = person_identifiers(whom).items()
    return key_of(kind, value)


def _expected(given: Mapping[str, Any] | None, more: Mapping[str, Any]) -> dict[str, JSON]:
    return json_object({**(given or {}), **more})
