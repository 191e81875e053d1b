"""Identifiers to which nothing gets through any more."""

from __future__ import annotations


class Suppressions:
    """Suppressed keys; those of one person are suppressed and released together."""

    def __init__(self) -> None:
        self._groups: dict[str, frozenset[str]] = {}

    def covers(self, key: str) -> bool:
        """Is this key suppressed?"""
        return key in self._groups

    def add(self, keys: frozenset[str]) -> None:
        """Suppress a person's keys."""
        self._groups.update(dict.fromkeys(keys, keys))

    def release(self, key: str) -> bool:
        """Release a key and those suppressed with it; False if it was not suppressed."""
        group = self._groups.get(key, frozenset())
        for each in group:
            self._groups.pop(each, None)
        return bool(group)

    def all(self) -> list[str]:
        """Every suppressed key."""
        return sorted(self._groups)
