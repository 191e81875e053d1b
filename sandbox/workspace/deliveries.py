"""Messages, as far as the sandbox hears of them: it sends none itself."""

from __future__ import annotations

from collections import Counter, defaultdict

import msgspec


class Delivery(msgspec.Struct):
    """What was reported about one message."""

    metrics: Counter[str]
    unsubscribed: bool = False
    #: Whom it went to, if the sandbox was told: an unsubscribe then reaches this person.
    person_key: str | None = None


class Deliveries:
    """All messages anything was reported about."""

    def __init__(self) -> None:
        self._by_id: dict[str, Delivery] = defaultdict(lambda: Delivery(Counter()))

    def of(self, delivery_id: str) -> Delivery:
        """The message, made on first mention."""
        return self._by_id[delivery_id]

    def all(self) -> dict[str, Delivery]:
        """Every message by its id."""
        return self._by_id
