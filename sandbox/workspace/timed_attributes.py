"""Attribute values with the times of their changes."""

from __future__ import annotations

from collections.abc import Container, Mapping
from types import MappingProxyType
from typing import Any

from trackrelay.sandbox import published_limits
from trackrelay.sandbox.parsed_operations import JsonObject

PREFERENCES = "cio_subscription_preferences"


#: By name: the old value, the value that was not set, and why.
Failures = Mapping[str, tuple[Any, Any, str]]
_NONE: Failures = MappingProxyType({})


class Changes(list[Any]):
    """The changes that an operation made: name, old value and new value of each, in a row.

    One list for all, because it is built very often.
    """

    #: What the operation failed to change.
    failed: Failures = _NONE

    def fail(self, name: str, old: Any, value: Any, error: str) -> None:
        """Add a change that failed."""
        self.failed = {**self.failed, name: (old, value, error)}

    @property
    def notes(self) -> list[str]:
        """Why each change failed."""
        return [error for _, _, error in self.failed.values()]


class TimedAttributes:
    """Attribute values with the time of each last change, so that an older change is ignored.

    A removal has a time too.
    """

    __slots__ = ("times", "values")

    def __init__(self) -> None:
        self.values: JsonObject = {}
        self.times: dict[str, float] = {}

    def update(
        self, attributes: JsonObject, at: float, changes: Changes, skipped: Container[str] = ()
    ) -> None:
        """Set attributes, or remove those whose value is None or "".

        A change that is older than the last one is ignored.

        Args:
            attributes: The new values.
            at: When they were set.
            changes: Gets what changed and what failed.
            skipped: The names to leave out.
        """
        values, times = self.values, self.times
        for name, value in attributes.items():
            if name in skipped or times.get(name, at) > at:
                continue
            old = values.get(name)
            new = None if value == "" else value
            if new is None:
                values.pop(name, None)
            elif "." in name and name.startswith(f"{PREFERENCES}."):
                self._set_topic(name, new, at, changes)
                continue
            elif old is None and len(values) >= published_limits.ATTRIBUTES:
                error = (
                    f"attribute {name} exceeds the limit of {published_limits.ATTRIBUTES} "
                    "attributes"
                )
                changes.fail(name, None, new, error)
                continue
            else:
                values[name] = new
            times[name] = at
            if old != new or old.__class__ is not new.__class__:
                changes += (name, old, new)

    def set(self, name: str, value: Any, at: float) -> Changes:
        """Set one attribute; return what changed."""
        changes = Changes()
        self.update({name: value}, at, changes)
        return changes

    def _set_topic(self, path: str, value: Any, at: float, changes: Changes) -> None:
        """Set one subscription topic by dot notation; the other topics stay."""
        root, *between, last = path.split(".")
        old = self.values.get(root)
        # A value that is not an object cannot hold topics, so it is replaced.
        place = self.values[root] = dict(old) if isinstance(old, dict) else {}
        for step in between:
            inner = place.get(step)
            place[step] = place = dict(inner) if isinstance(inner, dict) else {}
        place[last] = value
        self.times[root] = self.times[path] = at
        if old != self.values[root]:
            changes += (root, old, self.values[root])

    def fill_from(self, other: TimedAttributes) -> None:
        """Copy the attributes that are not set here, as a merge does."""
        for name, value in other.values.items():
            if name not in self.values:
                self.values[name] = value
                self.times[name] = other.times[name]
