"""Endpoint families: groups of Track API endpoints that fail together. Each has a breaker."""

from __future__ import annotations

from functools import lru_cache

from trackrelay.operations.registry import ACTIONS, BY_NAME, Family

__all__ = [
    "ALL_FAMILIES",
    "DELIVERS",
    "SINGLES",
    "SINGLE_FAMILIES",
    "Family",
    "family_of_operation",
]

ALL_FAMILIES = frozenset(Family)

#: What each family delivers, for operators.
DELIVERS: dict[Family, str] = {
    Family.V2: "people, events, objects and devices",
    Family.V1_EVENTS: "anonymous events and events over 32 kB",
    Family.SEGMENTS: "manual segments",
    Family.FORMS: "forms",
    Family.METRICS: "metrics and unsubscribes",
}

#: Families in which each job needs a request of its own.
SINGLE_FAMILIES = (Family.V1_EVENTS, Family.FORMS, Family.METRICS)


def _beginnings(family: Family) -> tuple[str, ...]:
    """Return the beginnings of the names of the operations in ``family``.

    A whole type stands for its actions if all of them are in the family.
    """
    names = [action.name for action in ACTIONS if action.family is family]
    types = {f"{name.partition('.')[0]}." for name in names}
    others = [action.name for action in ACTIONS if action.family is not family]
    whole = tuple(
        sorted(type for type in types if not any(other.startswith(type) for other in others))
    )
    return whole + tuple(name for name in names if not name.startswith(whole))


_BEGINNINGS: dict[Family, tuple[str, ...]] = {
    family: _beginnings(family) for family in Family if family is not Family.V2
}
#: Beginnings of the names of operations that need a request of their own whatever their size.
SINGLES = tuple(each for family in SINGLE_FAMILIES for each in _BEGINNINGS[family])


@lru_cache(maxsize=1000)
def family_of_operation(operation: str) -> Family:
    """Return the family that delivers ``operation``, unless its document is too large for v2."""
    if action := BY_NAME.get(operation):
        return action.family
    # Of another version: it fails where the others of its type are delivered.
    for family, beginnings in _BEGINNINGS.items():
        if operation.startswith(beginnings):
            return family
    return Family.V2
