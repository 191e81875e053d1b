"""The mixes: operations of realistic shapes and sizes, the same for every contender."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

from trackrelay import ObjectRef, Operation, Person, operations

#: The number of people.
PEOPLE = 10_000
_PAD = "x" * 180


#: Ten times as many.
MANY_PEOPLE = 100_000


def event_attributes(number: int) -> dict[str, Any]:
    """Return the data of an event of about 400 bytes."""
    return {
        "order_id": f"A-{number}",
        "total": 129.5,
        "currency": "EUR",
        "items": 3,
        "coupon": None,
        "note": _PAD,
    }


def events(count: int, people: int = PEOPLE) -> Iterator[Operation]:
    """Yield events of 400 bytes."""
    for number in range(count):
        yield operations.track(str(number % people), "order_completed", event_attributes(number))


def identifies(count: int, people: int = PEOPLE) -> Iterator[Operation]:
    """Yield identifies with twenty attributes."""
    for number in range(count):
        yield operations.identify(
            str(number % people), {f"attribute_{n}": f"value {number} {n}" for n in range(20)}
        )


def mixed(count: int, people: int = PEOPLE) -> Iterator[Operation]:
    """Yield 80 % events, 15 % identifies, 5 % other operations of v2."""
    choose = random.Random(7)
    rest: Iterator[Callable[[str], Operation]] = itertools.cycle(
        [
            lambda person: operations.page(
                person, "https://example.com/shop", {"referrer": "search"}
            ),
            lambda person: operations.screen(person, "home"),
            lambda person: operations.add_device(person, f"token-{person}", "ios"),
            lambda person: operations.identify_object(
                ObjectRef("1", f"company-{person}"), {"name": "Acme", "seats": 5}
            ),
        ]
    )
    for number in range(count):
        person, dice = str(number % people), choose.random()
        if dice < 0.80:
            yield operations.track(person, "order_completed", event_attributes(number))
        elif dice < 0.95:
            yield operations.identify(person, {"plan": "pro", "orders": number})
        else:
            yield next(rest)(person)


def with_v1(count: int, people: int = PEOPLE) -> Iterator[Operation]:
    """Yield 95 % events and 5 % anonymous events, which need v1."""
    for number in range(count):
        if number % 20 == 19:
            yield operations.track(
                Person(anonymous_id=f"anonymous-{number % people}"), "page_seen", {"path": "/"}
            )
        else:
            yield operations.track(
                str(number % people), "order_completed", event_attributes(number)
            )


def of_many(count: int) -> Iterator[Operation]:
    """Yield events of ten times as many people."""
    return events(count, MANY_PEOPLE)


def of_others(count: int) -> Iterator[Operation]:
    """Yield events of people without jobs in the backlog."""
    for number in range(count):
        yield operations.track(
            f"other-{number % PEOPLE}", "order_completed", event_attributes(number)
        )


MIXES: dict[str, Callable[[int], Iterator[Operation]]] = {
    "events": events,
    "identifies": identifies,
    "mixed": mixed,
    "5% v1": with_v1,
    "events, 10x people": of_many,
    "events, others": of_others,
}
