"""What an accident does to a call of the second business, and to which calls."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.retention_traffic import NOW, Call

#: Returns the calls that are sent instead of one.
Change = Callable[[Call], list[Call]]
#: The name by which an accident means calls that describe a person.
PERSON = ""
RARE = 5_000


@dataclass(frozen=True)
class Accident:
    """One thing that somebody who plans campaigns would be angry about.

    Args:
        name: names the accident.
        topic: the line of the guide's table.
        wrong: says what is wrong.
        event: the event whose calls go wrong; "" for people's attributes.
        subject: a finding is about the accident if its subject contains one of these.
        change: returns the calls that are sent instead of one.
        source: the sender whose calls go wrong; "" for all.
        has: only calls with this attribute go wrong.
        every: one call of so many goes wrong.
        after: how much of the traffic passes before the first goes wrong, from 0 to 1.
        alone: it hides others, and is not tried together with them.
    """

    name: str
    topic: str
    wrong: str
    event: str
    subject: tuple[str, ...]
    change: Change
    source: str = ""
    has: str = ""
    every: int = 1
    after: float = 0.0
    alone: bool = False

    def concerns(self, call: Call) -> bool:
        """Return whether the call is one of those that can go wrong."""
        here = not self.source or call.source == self.source
        return call.name == self.event and here and (not self.has or self.has in call.attributes)


def with_accidents(
    calls: Iterable[Call], accidents: Sequence[Accident], count: int
) -> Iterator[Call]:
    """Yield the calls as the accidents leave them."""
    by_event: dict[str, list[int]] = {}
    for index, accident in enumerate(accidents):
        by_event.setdefault(accident.event, []).append(index)
    # The first of the rare ones goes wrong early enough for short traffic, and each another call.
    seen = [
        max(0, accident.every - 60 + 7 * by_event[accident.event].index(index))
        for index, accident in enumerate(accidents)
    ]
    for number, call in enumerate(calls):
        sent = [call]
        for index in by_event.get(call.name, ()):
            accident = accidents[index]
            if number < accident.after * count or not accident.concerns(call):
                continue
            seen[index] += 1
            if seen[index] % accident.every == 0:
                sent = [out for each in sent for out in _changed(accident, each)]
        yield from sent


def _changed(accident: Accident, call: Call) -> list[Call]:
    return accident.change(call) if accident.concerns(call) else [call]


def dropped(call: Call) -> list[Call]:
    """Send nothing."""
    return []


def emptied(call: Call) -> list[Call]:
    """Send the call without attributes."""
    call.attributes = {}
    return [call]


def named(name: str) -> Change:
    """Send the call under another name."""

    def change(call: Call) -> list[Call]:
        call.name = name
        return [call]

    return change


def also(name: str, source: str, late_s: float = 1.0) -> Change:
    """Send the same event again, from another sender and perhaps under another name."""

    def change(call: Call) -> list[Call]:
        attributes = copy.deepcopy(call.attributes)
        again = Call(source, call.operation, name, attributes, late_s=late_s, at=call.at)
        return [call, again]

    return change


def sent_by(source: str) -> Change:
    """Send the call from another application."""

    def change(call: Call) -> list[Call]:
        call.source = source
        return [call]

    return change


def late(seconds: float) -> Change:
    """Deliver the event so many seconds after its time; less than none: before it."""

    def change(call: Call) -> list[Call]:
        call.late_s += seconds
        return [call]

    return change


def timed(at: float) -> Change:
    """Give the event this time."""

    def change(call: Call) -> list[Call]:
        call.late_s = NOW - at
        return [call]

    return change


def without(*keys: str) -> Change:
    """Leave attributes out."""

    def change(call: Call) -> list[Call]:
        for key in keys:
            call.attributes.pop(key, None)
        return [call]

    return change


def key(old: str, new: str) -> Change:
    """Give an attribute another name."""

    def change(call: Call) -> list[Call]:
        if old in call.attributes:
            call.attributes[new] = call.attributes.pop(old)
        return [call]

    return change


def value(name: str, made: Callable[[Any], Any]) -> Change:
    """Give an attribute another value."""

    def change(call: Call) -> list[Call]:
        if call.attributes.get(name) is not None:
            call.attributes[name] = made(call.attributes[name])
        return [call]

    return change


def given(name: str, made: Any) -> Change:
    """Add an attribute; a callable is asked for its value."""

    def change(call: Call) -> list[Call]:
        call.attributes[name] = made(call) if callable(made) else made
        return [call]

    return change


def item_value(name: str, made: Callable[[Any], Any]) -> Change:
    """Give a line item's attribute another value."""

    def change(call: Call) -> list[Call]:
        for item in call.attributes["items"]:
            item[name] = made(item[name])
        return [call]

    return change


def item_key(old: str, new: str) -> Change:
    """Give a line item's attribute another name."""

    def change(call: Call) -> list[Call]:
        for item in call.attributes["items"]:
            item[new] = item.pop(old)
        return [call]

    return change


def wrapped(name: str) -> Change:
    """Put all attributes into one."""

    def change(call: Call) -> list[Call]:
        call.attributes = {name: call.attributes}
        return [call]

    return change


def flattened(call: Call) -> list[Call]:
    """Send line items as attributes with a number in their names."""
    for number, item in enumerate(call.attributes.pop("items"), 1):
        for name, content in item.items():
            call.attributes[f"item_{number}_{name}"] = content
    return [call]


def keyed(call: Call) -> list[Call]:
    """Send line items as an object whose keys are order numbers."""
    order = call.attributes.get("order_id", "0")
    items = call.attributes["items"]
    call.attributes["items"] = {f"{order}{n}": item for n, item in enumerate(items)}
    return [call]
