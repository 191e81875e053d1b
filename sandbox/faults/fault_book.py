"""The faults that are in force, and whom they have struck."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from trackrelay.sandbox.parsed_operations import Operation
from trackrelay.sandbox.track.refusal import Refused

from .fault import Fault, Match


class Entry:
    """A fault in force: what it is, whom it struck, and how to know that it was deleted."""

    def __init__(self, id: int, fault: Fault, outage: bool) -> None:
        self.id = id
        self.fault = fault
        self.outage = outage
        self.matches = 0
        self.hits = 0
        self.deleted = asyncio.Event()

    def strikes(self, chance: random.Random) -> bool:
        """Count a match; True if it is to be struck."""
        fault = self.fault
        if fault.times is not None and self.hits >= fault.times:
            return False
        self.matches += 1
        if self.matches <= fault.skip or (fault.rate < 1 and chance.random() >= fault.rate):
            return False
        self.hits += 1
        return True

    def view(self) -> dict[str, Any]:
        """As it is shown."""
        shown = {"id": self.id, "hits": self.hits, "matches": self.matches, "outage": self.outage}
        settings = msgspec.to_builtins(self.fault)
        return shown | {name: value for name, value in settings.items() if value is not None}


class Traffic(msgspec.Struct):
    """What faults look at in a request."""

    method: str
    path: str
    body: bytes
    operations: Sequence[Operation | Refused]


class FaultBook:
    """All faults in force, in the order they were added; an outage comes first."""

    def __init__(self, seed: int | None = None) -> None:
        self._entries: dict[int, Entry] = {}
        self._numbers = itertools.count(1)
        self._chance = random.Random(seed)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, fault: Fault, outage: bool = False) -> int:
        """Put a fault in force; returns its number."""
        entry = Entry(next(self._numbers), fault, outage)
        first = {entry.id: entry}
        self._entries = first | self._entries if outage else self._entries | first
        return entry.id

    def delete(self, number: int) -> bool:
        """Take a fault out of force, and let go whom it holds; False if there is none."""
        entry = self._entries.pop(number, None)
        if entry is not None:
            entry.deleted.set()
        return entry is not None

    def delete_all(self, *, outages_only: bool = False) -> None:
        """Take all faults out of force."""
        for number in [
            number for number, entry in self._entries.items() if entry.outage or not outages_only
        ]:
            self.delete(number)

    def view(self) -> list[dict[str, Any]]:
        """As they are shown."""
        return [entry.view() for entry in self._entries.values()]

    def striking(self, traffic: Traffic) -> list[Entry]:
        """What happens to this request: delays, and the first fault that decides its answer."""
        struck: list[Entry] = []
        for entry in list(self._entries.values()):
            if entry.fault.kind == "reject" or not _concerns(entry.fault.match, traffic):
                continue
            if entry.strikes(self._chance):
                struck.append(entry)
                if entry.fault.kind != "delay":
                    break
        return struck

    def rejected(self, traffic: Traffic, sources: Sequence[bytes]) -> list[Operation | Refused]:
        """The operations, with those that a fault refuses replaced by their refusal."""
        rejecting = [
            entry
            for entry in self._entries.values()
            if entry.fault.kind == "reject" and _concerns_request(entry.fault.match, traffic)
        ]
        if not rejecting:
            return list(traffic.operations)
        bodies: Iterable[bytes] = sources or itertools.repeat(traffic.body)
        return [
            self._reject(rejecting, each, body)
            for each, body in zip(traffic.operations, bodies, strict=False)
        ]

    def _reject(
        self, rejecting: list[Entry], operation: Operation | Refused, body: bytes
    ) -> Operation | Refused:
        if isinstance(operation, Refused):
            return operation
        for entry in rejecting:
            match = entry.fault.match
            if _names(match, operation) and _contains(match, body) and entry.strikes(self._chance):
                return Refused(
                    entry.fault.field, entry.fault.message, entry.fault.reason, entry.fault.errors
                )
        return operation


def _concerns(match: Match, traffic: Traffic) -> bool:
    if not _concerns_request(match, traffic) or not _contains(match, traffic.body):
        return False
    return not match.about_operations or any(
        not isinstance(each, Refused) and _names(match, each) for each in traffic.operations
    )


def _concerns_request(match: Match, traffic: Traffic) -> bool:
    if match.method is not None and match.method.upper() != traffic.method:
        return False
    return match.path is None or traffic.path.startswith(match.path)


def _contains(match: Match, body: bytes) -> bool:
    return match.contains is None or match.contains.encode() in body


def _names(match: Match, operation: Operation) -> bool:
    return (
        match.type in (None, operation.type)
        and match.action in (None, operation.action)
        and match.name in (None, operation.name)
        and (match.identifier is None or match.identifier in operation.keys)
    )
