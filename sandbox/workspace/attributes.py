"""Attributes that remember when each was set, so that an older change never undoes a newer one."""

from __future__ import annotations

from typing import Any

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import JsonObject

_PREFERENCES = "cio_subscription_preferences"


class TimedAttributes:
    """Attribute values, and the time of each one's last change; removals have a time too."""

    __slots__ = ("times", "values")

    def __init__(self) -> None:
        self.values: JsonObject = {}
        self.times: dict[str, float] = {}

    def set(self, name: str, value: Any, at: float) -> str | None:
        """Set, or with null or "" remove; a change older than the last is passed over. Returns what went wrong."""
        times = self.times
        if times.get(name, at) > at:
            return None
        if value is None or value == "":
            self.values.pop(name, None)
        elif name.startswith(f"{_PREFERENCES}."):
            self._set_within(name, value, at)
        elif name not in self.values and len(self.values) >= published_limits.ATTRIBUTES:
            return f"attribute {name} is one more than {published_limits.ATTRIBUTES}"
        else:
            self.values[name] = value
        times[name] = at
        return None

    def _set_within(self, path: str, value: Any, at: float) -> None:
        """Dot notation reaches into the subscription preferences, and leaves the other topics alone."""
        root, *between, last = path.split(".")
        self.times[root] = at
        place = self.values
        for step in (root, *between):
            # What is not an object cannot be reached into, and gives way.
            if not isinstance(place.get(step), dict):
                place[step] = {}
            place = place[step]
        place[last] = value

    def fill_from(self, other: TimedAttributes) -> None:
        """Take over what is not set here: a merge."""
        for name, value in other.values.items():
            if name not in self.values:
                self.values[name] = value
                self.times[name] = other.times[name]


def update_plain(attributes: JsonObject, changes: JsonObject) -> None:
    """Attributes without times, of objects and relationships: null and "" remove."""
    for name, value in changes.items():
        if value is None or value == "":
            attributes.pop(name, None)
        elif name in attributes or len(attributes) < published_limits.ATTRIBUTES:
            attributes[name] = value
