"""Endpoint families: groups of Track API endpoints that fail together, each with a breaker of its own."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache


class Family(StrEnum):
    """One group of endpoints. The names are also those of the breakers' Redis keys."""

    #: ``/api/v2/entity`` and ``/api/v2/batch``.
    V2 = "v2"
    #: ``/api/v1/events`` and ``/api/v1/customers/…/events``: anonymous events, and events too large for v2.
    V1_EVENTS = "v1_events"
    #: ``/api/v1/segments/…``.
    SEGMENTS = "segments"
    #: ``/api/v1/forms/…``.
    FORMS = "forms"
    #: ``/api/v1/metrics`` and ``/unsubscribe/…``.
    METRICS = "metrics"


ALL_FAMILIES = frozenset(Family)

#: What each family delivers, in words for operators.
DELIVERS: dict[Family, str] = {
    Family.V2: "people, events, objects and devices",
    Family.V1_EVENTS: "anonymous events and events over 32 kB",
    Family.SEGMENTS: "manual segments",
    Family.FORMS: "forms",
    Family.METRICS: "metrics and unsubscribes",
}

#: Beginnings of the names of operations that v2 cannot carry. All other operations belong to v2.
PREFIXES: dict[Family, tuple[str, ...]] = {
    Family.V1_EVENTS: ("anonymous.",),
    Family.SEGMENTS: ("segment.",),
    Family.FORMS: ("form.",),
    Family.METRICS: ("delivery.metric", "delivery.unsubscribe"),
}


@lru_cache(maxsize=1000)
def family_of_operation(operation: str) -> Family:
    """Return the family that delivers ``operation``, unless its document is too large for v2."""
    for family, prefixes in PREFIXES.items():
        if operation.startswith(prefixes):
            return family
    return Family.V2
