"""Rules in force, such as faults: how often each matches, and how often it hits."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import msgspec


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all rules say: how often they hit."""

    #: The share of matches that the rule hits.
    rate: float = 1.0
    #: How often the rule hits; None: until it is deleted.
    times: int | None = None
    #: How many matches pass before the first hit.
    skip: int = 0

    def check_rate(self) -> None:
        """Check the rate.

        Raises:
            ValueError: It is out of range.
        """
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate is {self.rate}; it must be above 0 and at most 1")


R = TypeVar("R", bound=Rule)


class ActiveRule(Generic[R]):
    """A rule in force, with its counts."""

    def __init__(self, id: int, rule: R) -> None:
        self.id = id
        self.rule = rule
        self.matches = 0
        self.hits = 0

    def hit(self, chance: random.Random) -> bool:
        """Count a match; return whether the rule hits it."""
        rule = self.rule
        if rule.times is not None and self.hits >= rule.times:
            return False
        self.matches += 1
        if self.matches <= rule.skip or (rule.rate < 1 and chance.random() >= rule.rate):
            return False
        self.hits += 1
        return True

    def view(self) -> dict[str, Any]:
        """Return the JSON of the rule for the control endpoints."""
        counts = {"id": self.id, "hits": self.hits, "matches": self.matches}
        settings = msgspec.to_builtins(self.rule)
        return counts | {name: value for name, value in settings.items() if value is not None}


A = TypeVar("A", bound=ActiveRule[Any])


class RuleBook(Generic[A]):
    """All rules in force, in the order they were added."""

    def __init__(self, seed: int | None = None) -> None:
        self._active: dict[int, A] = {}
        self._numbers = itertools.count(1)
        self.chance = random.Random(seed)

    def __bool__(self) -> bool:
        return bool(self._active)

    def __iter__(self) -> Iterator[A]:
        return iter(list(self._active.values()))

    def next_id(self) -> int:
        """Return the number of the next rule."""
        return next(self._numbers)

    def put(self, active: A, first: bool = False) -> int:
        """Put a rule in force, before or after the others; return its number."""
        new = {active.id: active}
        self._active = new | self._active if first else self._active | new
        return active.id

    def delete(self, number: int) -> A | None:
        """Delete a rule; return it if it existed."""
        return self._active.pop(number, None)

    def view(self) -> list[dict[str, Any]]:
        """Return the JSON of all rules for the control endpoints."""
        return [active.view() for active in self]
