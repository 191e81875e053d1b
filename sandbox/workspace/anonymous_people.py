"""What is known of people nobody has identified yet: their events, and the objects they relate to."""

from __future__ import annotations

from collections import defaultdict

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import JsonObject

from .people import StoredEvent


class Anonymous:
    """Events and relationships by anonymous id, waiting for an identify."""

    def __init__(self) -> None:
        self._events: dict[str, list[StoredEvent]] = defaultdict(list)
        self._relationships: dict[str, dict[str, JsonObject]] = defaultdict(dict)

    def add_event(self, anonymous_id: str, event: StoredEvent) -> None:
        """Keep an event."""
        self._events[anonymous_id].append(event)

    def relate(self, anonymous_id: str, cio_object_id: str, attributes: JsonObject) -> None:
        """Keep a relationship."""
        self._relationships[anonymous_id][cio_object_id] = attributes

    def take_events(self, anonymous_id: str, now: float) -> list[StoredEvent]:
        """The events to join to their person: those of the last 30 days. The older ones are gone."""
        since = now - published_limits.EVENT_HISTORY_S
        return [event for event in self._events.pop(anonymous_id, []) if event.at >= since]

    def take_relationships(self, anonymous_id: str) -> dict[str, JsonObject]:
        """The relationships to carry over, by cio_object_id."""
        return self._relationships.pop(anonymous_id, {})

    def waiting(self) -> dict[str, int]:
        """How many events wait for each anonymous id."""
        return {anonymous_id: len(events) for anonymous_id, events in self._events.items()}
