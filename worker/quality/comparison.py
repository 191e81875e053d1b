"""What was sent, compared with what Customer.io has. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from trackrelay.worker.reasons import VerdictKind
from trackrelay.worker.storage.sent_subjects import Item, Subject

from .attribute_values import Tag, returned_exact, returned_loose
from .sent_items import (
    ABSENT,
    ATTRIBUTE,
    DEVICE,
    EVENT,
    EXISTS,
    MERGED,
    PREFERENCES,
    PRESENT,
    RELATIONSHIP,
    REMOVED,
    SEGMENT,
    Digest,
)

#: Customer.io promises activities of the last 30 days.
HISTORY_S = 30 * 86_400
#: Activities have whole seconds, and the two clocks may differ a little.
SAME_TIME_S = 2.0


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """An event among a person's activities."""

    id: str
    #: The event's name; of a page view its URL.
    name: str
    #: Unix seconds.
    timestamp: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the App API says about one subject. What was not asked is None."""

    exists: bool
    #: As texts, whatever was sent.
    attributes: Mapping[str, str] = field(default_factory=dict)
    #: When each attribute was set, in unix seconds.
    timestamps: Mapping[str, int] = field(default_factory=dict)
    #: The person's keys in the stored form, such as ``id:42`` and ``email:#…``.
    keys: tuple[str, ...] = ()
    cio_id: str | None = None
    unsubscribed: bool = False
    #: Digests of the tokens.
    devices: frozenset[str] = frozenset()
    events: tuple[SeenEvent, ...] | None = None
    #: The stored keys of related objects or people.
    relationships: frozenset[str] | None = None
    segments: frozenset[int] | None = None
    #: Whether all of the events and relationships were read.
    is_complete: bool = True
    #: Of a merge: whether the primary exists, and its cio_id.
    primary_exists: bool = False
    primary_cio_id: str | None = None
    #: When somebody deleted the person, as activities say; None: not known.
    deleted_at: float | None = None
    #: Why the App API cannot say anything about the subject; "": it can.
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one item."""

    item: str
    #: None: it says nothing any more, as other items or later changes explain it.
    verdict: VerdictKind | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares items of one subject.

    Args:
        subject: what was sent.
        seen: what Customer.io has.
        digest: the keyed digest with which the items were made.
        now: when the App API was asked, in unix seconds.
    """

    subject: Subject
    seen: Seen
    digest: Digest
    now: float

    def findings(self, names: Collection[str]) -> Iterator[Finding]:
        """Yield what became of each of the items ``names``."""
        items = {name: self.subject.items[name] for name in names}
        if self.seen.problem:
            # One line says it for all of them.
            first = EXISTS if EXISTS in items else min(items)
            yield Finding(first, VerdictKind.UNKNOWN, self.seen.problem)
            yield from (Finding(name, None) for name in items if name != first)
            return
        for name, item in items.items():
            yield self._finding(name, item)

    def _finding(self, name: str, item: Item) -> Finding:
        if name == ABSENT:
            return Finding(name, *self._removed(item))
        if name == MERGED:
            return Finding(name, *self._merged(item))
        if name == EXISTS:
            return Finding(name, *self._exists(item))
        if not self.seen.exists:
            # That nobody is there is said of the item `exists`, if anybody should be.
            verdict = VerdictKind.VERIFIED if item.tag == REMOVED else None
            return Finding(name, verdict)
        for prefix, compare in _COMPARED.items():
            if name.startswith(prefix):
                verdict, reason = compare(self, name.removeprefix(prefix), item)
                if verdict in (None, VerdictKind.VERIFIED):
                    return Finding(name, verdict, reason)
                if item.is_conditional and not self._existed_before(item):
                    return Finding(name, None)
                if self._was_deleted_after(item):
                    verdict, reason = VerdictKind.DIFFERENT, _ANEW
                return Finding(name, verdict, reason)
        return Finding(name, None)

    def _exists(self, item: Item) -> _Result:
        if self.seen.exists:
            return _FINE
        (kind, *_) = self.subject.address
        if self._was_deleted_after(item):
            return VerdictKind.DIFFERENT, f"it was deleted {_at(self.seen.deleted_at or 0.0)}"
        if kind == "cio_id":
            return (
                VerdictKind.IGNORED,
                "nobody has this cio_id: Customer.io alone assigns them, and ignores others",
            )
        if "object_id" in self.subject.address:
            return VerdictKind.MISSING, "Customer.io has no such object"
        return (
            VerdictKind.MISSING,
            f"nobody has this {kind}: the person is suppressed, was deleted by somebody else, "
            "or was never created",
        )

    def _was_deleted_after(self, item: Item) -> bool:
        # Activities have whole seconds.
        at = self.seen.deleted_at
        return at is not None and at >= int(item.delivered_at)

    def _removed(self, item: Item) -> _Result:
        if not self.seen.exists:
            return _FINE
        if self._created_after(item):
            return VerdictKind.DIFFERENT, "it exists again: somebody created it after this job"
        return VerdictKind.IGNORED, "it still exists: the removal was not applied"

    def _merged(self, item: Item) -> _Result:
        seen = self.seen
        if not seen.exists or (seen.primary_exists and seen.cio_id == seen.primary_cio_id):
            return _FINE
        if self._created_after(item):
            return VerdictKind.DIFFERENT, "the secondary exists again: somebody created it later"
        if not seen.primary_exists:
            return VerdictKind.IGNORED, "it was not merged: the primary does not exist"
        return VerdictKind.IGNORED, "it was not merged: both people still exist"

    def _created_after(self, item: Item) -> bool:
        created = self.seen.timestamps.get("cio_id")
        return created is not None and created > item.delivered_at

    def _existed_before(self, item: Item) -> bool:
        created = self.seen.timestamps.get("cio_id")
        return created is not None and created < item.timestamp - SAME_TIME_S

    def _attribute(self, name: str, item: Item) -> _Result:
        returned, root = self._returned(name, item)
        exact = returned_exact(Tag(item.tag), returned)
        if exact is not None and self._digest_of(ATTRIBUTE + name, exact) == item.digest:
            return _FINE
        loose = returned_loose(returned)
        alike = None if loose is None else self._digest_of(ATTRIBUTE + name, loose)
        if alike == (item.loose or item.digest):
            return (
                VerdictKind.DIFFERENT,
                "the value is the same, but its type or precision was lost",
            )
        changed = self.seen.timestamps.get(root)
        is_newer = changed is not None and changed > item.timestamp
        if returned is None:
            return VerdictKind.MISSING, _missing(name)
        if is_newer:
            return VerdictKind.DIFFERENT, f"somebody else wrote it {_at(float(changed or 0))}"
        if changed is not None and changed < int(item.timestamp):
            return VerdictKind.MISSING, "Customer.io still has what was there before"
        return VerdictKind.DIFFERENT, "Customer.io has another value"

    def _returned(self, name: str, item: Item) -> tuple[str | None, str]:
        """Return an attribute's value, and the name under which Customer.io keeps its time."""
        if item.tag == Tag.TRUTH:
            return str(self.seen.unsubscribed), name
        if name.startswith(f"{PREFERENCES}."):
            return _inside(self.seen.attributes.get(PREFERENCES), name.split(".")[1:]), PREFERENCES
        return self.seen.attributes.get(name), name

    def _digest_of(self, name: str, form: str) -> str:
        return self.digest(f"{self.subject.key}\0{name}\0{form}")

    def _event(self, name_and_id: str, item: Item) -> _Result:
        name, _, id = name_and_id.rpartition(":")
        if self.seen.events is None:
            return None, ""
        for event in self.seen.events:
            at_the_time = abs(event.timestamp - item.timestamp) <= SAME_TIME_S
            if event.id.upper() == id.upper() or (event.name == name and at_the_time):
                return _FINE
        if item.timestamp < self.now - HISTORY_S:
            return VerdictKind.UNKNOWN, "Customer.io shows activities of the last 30 days only"
        if not self.seen.is_complete:
            return VerdictKind.UNKNOWN, "the person has more activities than were read"
        return VerdictKind.MISSING, "it is not among the person's activities"

    def _relationship(self, key: str, item: Item) -> _Result:
        if self.seen.relationships is None:
            return None, ""
        is_there = key in self.seen.relationships
        if not is_there and not self.seen.is_complete:
            return VerdictKind.UNKNOWN, "there are more relationships than were read"
        return _presence(item, is_there, "the relationship")

    def _device(self, digest: str, item: Item) -> _Result:
        return _presence(item, digest in self.seen.devices, "the device")

    def _segment(self, number: str, item: Item) -> _Result:
        if self.seen.segments is None:
            return None, ""
        return _presence(item, int(number) in self.seen.segments, "the membership")


_ANEW = "the person was deleted after this job, and created anew"
_Result = tuple[VerdictKind | None, str]
_FINE: _Result = (VerdictKind.VERIFIED, "")
_COMPARED: Mapping[str, Callable[[Comparison, str, Item], _Result]] = {
    ATTRIBUTE: Comparison._attribute,
    EVENT: Comparison._event,
    RELATIONSHIP: Comparison._relationship,
    DEVICE: Comparison._device,
    SEGMENT: Comparison._segment,
}


def _presence(item: Item, is_there: bool, what: str) -> _Result:
    if is_there == (item.tag == PRESENT):
        return _FINE
    if is_there:
        return VerdictKind.MISSING, f"{what} is still there: its removal was not applied"
    return VerdictKind.MISSING, f"{what} is not there"


def _missing(name: str) -> str:
    if name in ("email", "phone", "id"):
        return f"the profile has no {name}: Customer.io dropped it, or another profile has it"
    return "the profile has no such attribute"


def _inside(text: str | None, path: list[str]) -> str | None:
    try:
        value: Any = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _at(unix_s: float) -> str:
    known = min(max(unix_s, 0.0), 253_402_300_799.0)
    return f"at {datetime.fromtimestamp(known, UTC):%Y-%m-%d %H:%M:%S} UTC"
