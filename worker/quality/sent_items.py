"""What a delivered job leaves to compare: items with a digest and a type, never a value. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from trackrelay.operations.keys import key_of, object_key
from trackrelay.operations.registry import BY_NAME
from trackrelay.worker.storage.sent_subjects import Item, Subject
from trackrelay.worker.storage.stored_job import Job

from .attribute_values import Form, decode_document, sent_form

#: Items of a subject. The oldest are forgotten first.
MAX_ITEMS = 200
#: Events of a subject.
MAX_EVENTS = 20
#: Characters of an item's name. Longer names, which Customer.io would not take, are not remembered.
MAX_NAME = 300

EXISTS, ABSENT, MERGED = "exists", "absent", "merge"
ATTRIBUTE, EVENT, RELATIONSHIP, DEVICE, SEGMENT = (
    "attribute:",
    "event:",
    "relationship:",
    "device:",
    "segment:",
)
#: Markers that say that a subject is not there any more.
_GONE = (ABSENT, MERGED)
#: The tag of an item that must be there, and of one that must not.
PRESENT, REMOVED = "present", "removed"

#: Identifiers by which the App API finds a person.
ADDRESSES = frozenset({"id", "email", "phone", "cio_id"})
#: What Customer.io does not show as an attribute.
_NOT_SHOWN = frozenset({"_update", "_timestamp", "cio_id", "anonymous_id", "cio_relationships"})
PREFERENCES = "cio_subscription_preferences"

#: Turns a text into a keyed digest.
Digest = Callable[[str], str]
#: Turns a key into the form that is stored.
StoredKey = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Change:
    """What one job changes in the memory of one subject."""

    key: str
    address: dict[str, Any]
    items: dict[str, Item] = field(default_factory=dict)
    #: Forget what was remembered before.
    clears: bool = False
    #: The subject that gets this one's events.
    events_to: str | None = None


@dataclass(frozen=True, slots=True)
class Recorder:
    """Turns delivered jobs into changes of the memory."""

    digest: Digest
    stored: StoredKey
    #: Whether the subject of a stored key is remembered.
    selects: Callable[[str], bool]

    def changes(self, jobs: Iterable[Job], now: float) -> list[Change]:
        """Return what ``jobs`` change, in their order.

        Args:
            jobs: delivered jobs, of any subject and in the order of their streams.
            now: the time of their settlement.
        """
        found = (
            self._change_of(job, now) for job in jobs if any(self.selects(key) for key in job.keys)
        )
        return [change for change in found if change is not None]

    def _change_of(self, job: Job, now: float) -> Change | None:
        try:
            document = decode_document(job.body)
            change = _Reading(self, job, document, now).change()
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError, StopIteration):
            # No producer of ours wrote such a document. It was delivered, and cannot be compared.
            return None
        return change if change and self.selects(change.key) else None


@dataclass(frozen=True, slots=True)
class _Reading:
    """One job, being read."""

    by: Recorder
    job: Job
    document: dict[str, Any]
    now: float

    def change(self) -> Change | None:
        """Return what the job changes; None if nothing of it can be compared."""
        make = _CHANGES.get(self.job.operation)
        return make(self) if make else None

    def _change(self, items: dict[str, Item], *, clears: bool = False) -> Change:
        address = _address(self.document["identifiers"])
        return Change(self.job.keys[0], address, items if address else {}, clears)

    def _identified(self) -> Change:
        exists = {} if self._is_conditional else self._exists()
        return self._change({**exists, **self._attributes(), **self._relationships(PRESENT)})

    def _object(self) -> Change:
        items = {**self._exists(), **self._attributes(), **self._relationships(PRESENT)}
        return self._change(items)

    def _tracked(self) -> Change:
        return self._change({**self._exists(), **self._event()})

    def _removed(self) -> Change:
        return self._change({ABSENT: self._item(self.job.operation)}, clears=True)

    def _released(self) -> Change:
        # A person who is not suppressed any more is not restored either.
        return self._change({}, clears=True)

    def _related(self) -> Change:
        return self._change({**self._exists(), **self._relationships(PRESENT)})

    def _unrelated(self) -> Change:
        return self._change(self._relationships(REMOVED))

    def _device_added(self) -> Change:
        return self._change({**self._exists(), **self._device(PRESENT)})

    def _device_deleted(self) -> Change:
        return self._change(self._device(REMOVED))

    def _exists(self) -> dict[str, Item]:
        return {EXISTS: self._item(PRESENT)}

    def _attributes(self) -> dict[str, Item]:
        attributes = self.document.get("attributes") or {}
        is_person = self.document["type"] == "person"
        items: dict[str, Item] = {}
        for name, value in attributes.items():
            if is_person and name in _NOT_SHOWN:
                continue
            if is_person and name == PREFERENCES:
                items |= self._preferences(value)
            else:
                plain = name if is_person else ""
                items[ATTRIBUTE + name] = self._value(ATTRIBUTE + name, sent_form(plain, value))
            if len(items) > MAX_ITEMS:
                break
        return items

    def _preferences(self, value: Any) -> dict[str, Item]:
        # The topics that were not sent keep what they were.
        topics = value.get("topics") if isinstance(value, dict) else None
        if not isinstance(topics, dict):
            return {}
        return {
            (name := f"{ATTRIBUTE}{PREFERENCES}.topics.{topic}"): self._value(
                name, sent_form(topic, chosen)
            )
            for topic, chosen in topics.items()
        }

    def _value(self, name: str, form: Form) -> Item:
        return self._item(
            form.tag,
            digest=self.by.digest(f"{self.job.keys[0]}\0{name}\0{form.exact}"),
            loose=form.loose and self.by.digest(f"{self.job.keys[0]}\0{name}\0{form.loose}"),
        )

    def _event(self) -> dict[str, Item]:
        id = str(self.document.get("id") or self.job.id)
        return {f"{EVENT}{self.document['name']}:{id}": self._item(str(self.document["action"]))}

    def _relationships(self, tag: str) -> dict[str, Item]:
        related = self.document.get("cio_relationships") or []
        keys = [
            object_key(identifiers)
            if "object_id" in identifiers or "cio_object_id" in identifiers
            else key_of(*next(iter(identifiers.items())))
            for identifiers in (each["identifiers"] for each in related[:MAX_ITEMS])
        ]
        return {RELATIONSHIP + self.by.stored(key): self._item(tag) for key in keys}

    def _device(self, tag: str) -> dict[str, Item]:
        token = str(self.document["device"]["token"])
        return {DEVICE + self.by.digest(f"device\0{token}"): self._item(tag)}

    def _membership(self) -> Change:
        segment = self.document["identifiers"]["segment_id"]
        tag = PRESENT if self.job.operation == "segment.add" else REMOVED
        address = _address(self.document["person"])
        return Change(self.job.keys[0], address, {f"{SEGMENT}{segment}": self._item(tag)})

    def _merge(self) -> Change:
        primary, secondary = self.document["primary"], self.document["secondary"]
        keys = self.job.keys
        address = {**_address(secondary), "into": _address(primary)}
        items = {MERGED: self._item("person.merge")}
        # Keys that hash alike are one key: then the two are one person.
        return Change(keys[-1], address, items, clears=True, events_to=keys[0])

    def _item(self, tag: str, *, digest: str = "", loose: str = "") -> Item:
        timestamp = self.document.get("timestamp")
        if not BY_NAME[self.job.operation].carries_time:
            timestamp = None
        return Item(
            digest=digest,
            tag=tag,
            job=self.job.id,
            delivered_at=self.now,
            timestamp=self.now if timestamp is None else float(timestamp),
            loose=loose,
            operation=self.job.operation,
            is_conditional=self._is_conditional,
            trace=self.job.trace or "",
        )

    @property
    def _is_conditional(self) -> bool:
        attributes = self.document.get("attributes")
        return isinstance(attributes, dict) and attributes.get("_update") is True


_CHANGES: dict[str, Callable[[_Reading], Change]] = {
    "person.identify": _Reading._identified,
    "person.event": _Reading._tracked,
    "person.page": _Reading._tracked,
    "person.screen": _Reading._tracked,
    "person.delete": _Reading._removed,
    "person.suppress": _Reading._removed,
    "person.unsuppress": _Reading._released,
    "person.merge": _Reading._merge,
    "person.add_relationships": _Reading._related,
    "person.delete_relationships": _Reading._unrelated,
    "person.add_device": _Reading._device_added,
    "person.delete_device": _Reading._device_deleted,
    "segment.add": _Reading._membership,
    "segment.remove": _Reading._membership,
    "object.identify": _Reading._object,
    "object.add_relationships": _Reading._related,
    "object.delete_relationships": _Reading._unrelated,
    "object.delete": _Reading._removed,
}


def _address(identifiers: dict[str, Any]) -> dict[str, Any]:
    """Return the identifiers with which the App API can be asked; empty if it cannot."""
    if "object_id" in identifiers:
        return {name: str(value) for name, value in identifiers.items()}
    # The App API finds an object by its cio_object_id only together with its type.
    return {name: str(value) for name, value in identifiers.items() if name in ADDRESSES}


def updated(subjects: dict[str, Subject], changes: Iterable[Change], after_s: float) -> None:
    """Apply ``changes`` in order. A later write replaces an earlier one, and a removal clears all.

    Args:
        subjects: by key, those that were remembered before. Changed in place; one that ends up
            without an item is to be forgotten.
        changes: in the order of delivery.
        after_s: how long after a delivery it is compared.
    """
    for change in changes:
        before = subjects.get(change.key)
        old = before.items if before else {}
        if change.events_to in subjects:
            _move_events(old, subjects[change.events_to])
        kept = {} if change.clears else _still_true(old, change.items)
        latest = max(
            (item.delivered_at for item in change.items.values()),
            default=before.last_sent_at if before else 0.0,
        )
        due = before.due_at if before else None
        if change.items:
            due = min(due or float("inf"), latest + after_s)
        subjects[change.key] = Subject(
            key=change.key,
            address=change.address or (before.address if before else {}),
            items=_bounded(_replaced(kept, change.items)),
            due_at=due,
            tries=before.tries if before else 0,
            last_sent_at=max(latest, before.last_sent_at if before else 0.0),
        )


def _still_true(old: dict[str, Item], new: dict[str, Item]) -> dict[str, Item]:
    # Whatever was written after a removal makes the subject again.
    return {name: item for name, item in old.items() if name not in _GONE} if new else dict(old)


def _replaced(old: dict[str, Item], new: dict[str, Item]) -> dict[str, Item]:
    items = dict(old)
    for name, item in new.items():
        if len(name) > MAX_NAME or "\0" in name:
            continue
        before = items.get(name)
        # Customer.io ignores an attribute whose time is before that of the one it has.
        if before is None or not name.startswith(ATTRIBUTE) or item.timestamp >= before.timestamp:
            items.pop(name, None)
            items[name] = item
    return items


def _move_events(old: dict[str, Item], primary: Subject) -> None:
    moved = {name: item for name, item in old.items() if name.startswith(EVENT)}
    primary.items.update({name: item for name, item in moved.items() if name not in primary.items})


def _bounded(items: dict[str, Item]) -> dict[str, Item]:
    events = [name for name in items if name.startswith(EVENT)]
    dropped = set(_oldest(items, events, len(events) - MAX_EVENTS))
    rest = [name for name in items if name not in dropped]
    dropped.update(_oldest(items, rest, len(rest) - MAX_ITEMS))
    return {name: item for name, item in items.items() if name not in dropped} if dropped else items


def _oldest(items: dict[str, Item], names: list[str], count: int) -> list[str]:
    return sorted(names, key=lambda name: items[name].delivered_at)[:count] if count > 0 else []
