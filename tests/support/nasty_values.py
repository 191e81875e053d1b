"""Values of any type, some of them made to do harm, drawn at random."""

from __future__ import annotations

import random
import types
from collections import ChainMap, OrderedDict, UserDict, UserList, deque, namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from typing import Any
from unittest import mock
from uuid import UUID

from django.utils.functional import SimpleLazyObject, lazystr
from werkzeug.local import LocalProxy

from trackrelay import ObjectRef, Person, operations

Draw = Callable[[random.Random], Any]

_WORDS = "x" * 1_000_000
_POINT = namedtuple("_POINT", "x y")


class Raises:
    """Raises whatever is done with it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def _raise(self, *_: object, **__: object) -> Any:
        raise self._rng.choice(
            [RuntimeError, KeyError, RecursionError, TypeError, UnicodeError, OverflowError]
        )("secret")

    __str__ = __repr__ = __len__ = __iter__ = __bool__ = __hash__ = __eq__ = __getattr__ = _raise  # type: ignore[assignment]
    __float__ = __int__ = __index__ = __call__ = __contains__ = __getitem__ = __format__ = _raise


class RaisingText(str):
    def __str__(self) -> str:
        raise RuntimeError("secret")

    __repr__ = __str__

    def strip(self, _: Any = None) -> str:
        raise RuntimeError("secret")


class OtherText(str):
    def __str__(self) -> str:
        return "something else"

    def __len__(self) -> int:
        return 0

    def isprintable(self) -> bool:
        return True


class RaisingNumber(int):
    def __int__(self) -> int:
        raise RuntimeError("secret")

    __index__ = __float__ = __str__ = __repr__ = __int__  # type: ignore[assignment]


class RaisingDict(dict[Any, Any]):
    def items(self) -> Any:
        raise RuntimeError("secret")

    keys = get = items  # type: ignore[assignment]


class Changing(Mapping[Any, Any]):
    """Answers differently each time, and lies about its length."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def __getitem__(self, key: Any) -> Any:
        return self._rng.choice(["person", "event", "id", {"id": "42"}, 5, None])

    def __iter__(self) -> Iterator[Any]:
        return iter(
            self._rng.sample(
                ["type", "action", "identifiers", "name", "id", "attributes", "token"], 5
            )
        )

    def __len__(self) -> int:
        return self._rng.choice([0, 1, 5, 1_000])


class Endless(Mapping[Any, Any]):
    def __getitem__(self, key: Any) -> Any:
        return 1

    def __iter__(self) -> Iterator[Any]:
        number = 0
        while True:
            number += 1
            yield str(number)

    def __len__(self) -> int:
        return 2


class Deep(Sequence[Any]):
    def __getitem__(self, index: Any) -> Any:
        if index:
            raise IndexError
        return Deep()

    def __len__(self) -> int:
        return 1


class Zone(tzinfo):
    def __init__(self, offset: Any) -> None:
        self._offset = offset

    def utcoffset(self, _: object) -> Any:
        if isinstance(self._offset, Exception):
            raise self._offset
        return self._offset

    tzname = dst = utcoffset


class Plan(Enum):
    PRO = "pro"
    NOTHING = None
    LIST = (1, 2)


class Size(IntEnum):
    BIG = 3


class Colour(StrEnum):
    RED = "red"


class Metaclass(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("secret")


def _circular() -> list[Any]:
    one: list[Any] = []
    one.append({"in": one})
    return one


def _doubling() -> list[Any]:
    value: list[Any] = ["x" * 1_000]
    for _ in range(25):
        value = [value, value]
    return value


TEXTS = [
    *(
        "",
        " ",
        "a",
        "42",
        ".",
        "..",
        "../..",
        "a/b",
        "?x=1",
        "%2e",
        "\0",
        "\x1b[31m",
        "\x7f",
        "\u202e",
        "\ud800",
        "a\udfff",
    ),
    *(
        "jose\u0301@example.com",
        "JOSÉ@example.com",
        "a@b",
        "a@b.c",
        "@",
        "a@@b.c",
        '"a b"@c.d',
        "ada@example.com",
    ),
    *(
        "+4915123456789",
        "0151 2345",
        "cio_03",
        "cio_",
        "null",
        "None",
        "undefined",
        "NaN",
        "{id}",
        "{{a.b}}",
        "${x}",
    ),
    *(
        "x" * 100,
        "x" * 101,
        "x" * 150,
        "x" * 151,
        "é" * 75,
        "é" * 76,
        "x" * 1_000,
        "x" * 1_001,
        "\U0001f600" * 250,
    ),
    *(
        "x" * 31_900,
        "x" * 99_900,
        "x" * 100_001,
        "\x01" * 20_000,
        "ios",
        "android",
        "opened",
        "true",
        "1",
        "0",
        "-1",
    ),
    *(
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "01arz3ndektsv4rrffq69g5fav",
        "81ARZ3NDEKTSV4RRFFQ69G5FAV",
        "_update",
        "__proto__",
    ),
]
NUMBERS = [
    *(
        0,
        1,
        -1,
        42,
        1_714_564_800,
        1_714_564_800_000,
        2**31,
        2**53 + 1,
        2**63,
        2**64 - 1,
        2**64,
        -(2**63) - 1,
        10**5000,
    ),
    *(
        -(10**400),
        0.0,
        -0.0,
        1.5,
        1e308,
        5e-324,
        float("nan"),
        float("inf"),
        float("-inf"),
        True,
        False,
        1j,
        Size.BIG,
    ),
    *(
        Decimal("1.50"),
        Decimal("1e999999"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal(2**70),
        Fraction(1, 3),
    ),
    *(Fraction(10**400), RaisingNumber(5)),
]
TIMES = [
    *(
        datetime(2026, 1, 31, 12, tzinfo=UTC),
        datetime(2026, 1, 31, 12),
        date(2026, 1, 31),
        time(12),
        timedelta(days=1),
    ),
    *(
        datetime.min,
        datetime.max,
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=timezone.max),
    ),
    *(
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        date.min,
        date.max,
        datetime(1969, 1, 1, tzinfo=UTC),
    ),
    *(
        datetime(2024, 1, 1, tzinfo=Zone(zone))
        for zone in (timedelta(hours=30), "1h", None, 5, KeyError("secret"))
    ),
]
THINGS: list[Draw] = [
    lambda _: None,
    lambda _: b"bytes",
    lambda _: bytearray(b"x"),
    lambda _: memoryview(b"x"),
    lambda _: UUID(int=5),
    lambda _: Plan.PRO,
    lambda _: Plan.NOTHING,
    lambda _: Plan.LIST,
    lambda _: Colour.RED,
    lambda _: RaisingText("text"),
    lambda _: OtherText("text"),
    Raises,
    lambda _: RaisingDict(a=1),
    Changing,
    lambda _: Endless(),
    lambda _: Deep(),
    lambda _: _circular(),
    lambda _: _doubling(),
    lambda _: range(10**30),
    lambda _: range(3),
    lambda _: [_WORDS] * 50_000,
    lambda _: {str(number): _WORDS for number in range(2_000)},
    lambda _: [{_WORDS: 1}] * 2_000,
    lambda _: [0] * 100_001,
    lambda _: {f"a{number}": number for number in range(301)},
    lambda _: {Plan.PRO: 1, 5: 2, UUID(int=5): 3, "5": 4},
    lambda _: {10**5000: 1},
    lambda _: {None: 1, 1.5: 2, ("a",): 3},
    lambda _: OrderedDict(a=1),
    lambda _: ChainMap({"a": 1}, {"b": 2}),
    lambda _: types.MappingProxyType({"a": 1}),
    lambda _: UserDict(a=1),
    lambda _: UserList([1]),
    lambda _: deque([1, "a"]),
    lambda _: {1, "a", (1, 2)},
    lambda _: frozenset("abc"),
    lambda _: _POINT(1, 2),
    lambda _: (number for number in range(3)),
    lambda _: iter([1]),
    lambda _: map(int, ["x"]),
    lambda _: object(),
    lambda _: object,
    lambda _: type("", (), {})(),
    lambda _: type("x" * 10_000, (), {})(),
    lambda _: type("\x1b[31m", (), {})(),
    lambda _: Metaclass("Odd", (), {})(),
    lambda _: random,
    lambda _: len,
    lambda _: ValueError("secret"),
    lambda _: NotImplemented,
    lambda _: ...,
    lambda _: mock.Mock(spec=str),
    lambda _: mock.MagicMock(spec=int),
    lambda _: mock.MagicMock(spec=dict),
    lambda _: mock.MagicMock(),
    lambda _: lazystr("lazy"),
    lambda rng: SimpleLazyObject(lambda: nasty(rng)),
    lambda rng: LocalProxy(lambda: nasty(rng)),
    lambda _: LocalProxy(lambda: 1 / 0),
    lambda _: Person(email="ada@example.com"),
    lambda _: Person(anonymous_id="visitor"),
    lambda _: ObjectRef("1", "acme"),
    lambda _: ObjectRef(cio_object_id="ob1"),
    lambda _: operations.track("42", "seen"),
]


def nasty(rng: random.Random, depth: int = 0) -> Any:
    """Draw a value of any kind."""
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(TEXTS)
    if kind < 0.5:
        return rng.choice(NUMBERS)
    if kind < 0.58:
        return rng.choice(TIMES)
    if kind < 0.82 or depth > 3:
        return rng.choice(THINGS)(rng)
    size = rng.choice((0, 1, 1, 2, 3, 5))
    if kind < 0.9:
        return [nasty(rng, depth + 1) for _ in range(size)]
    return {_name(rng): nasty(rng, depth + 1) for _ in range(size)}


def _name(rng: random.Random) -> Any:
    return (
        rng.choice(TEXTS)
        if rng.random() < 0.9
        else rng.choice((5, UUID(int=5), None, 1.5, Plan.PRO, 10**5000))
    )


def mutated(rng: random.Random, value: Any) -> Any:
    """Draw a value that differs from ``value`` in one place."""
    if type(value) is dict and value and rng.random() < 0.85:
        name = rng.choice(list(value))
        changed = dict(value)
        way = rng.random()
        if way < 0.2:
            del changed[name]
        elif way < 0.3:
            changed[_name(rng)] = nasty(rng)
        elif way < 0.4:
            changed[_name(rng)] = changed.pop(name)
        else:
            changed[name] = mutated(rng, value[name])
        return changed
    if type(value) is list and value and rng.random() < 0.85:
        changed_list = list(value)
        place = rng.randrange(len(value))
        if rng.random() < 0.2:
            changed_list.insert(place, nasty(rng))
        else:
            changed_list[place] = mutated(rng, value[place])
        return changed_list
    if type(value) is str and value and rng.random() < 0.5:
        place = rng.randrange(len(value) + 1)
        return value[:place] + rng.choice(TEXTS) + value[place:]
    return nasty(rng)
