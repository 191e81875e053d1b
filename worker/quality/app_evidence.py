"""Asks the App API what Customer.io has of one subject: only what its items need."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from trackrelay.app_api import (
    AppApi,
    AppApiCallError,
    AppApiNotFoundError,
    AppApiRequestError,
    Profile,
    RelatedObject,
    RelatedPerson,
    Results,
)
from trackrelay.errors import InvalidOperationError
from trackrelay.operations.checks.name_checks import compared_email
from trackrelay.operations.keys import key_of, object_key
from trackrelay.operations.refs import ObjectRef, Person
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.sent_subjects import Item, Subject

from .comparison import Seen, SeenEvent
from .sent_items import EVENT, MERGED, RELATIONSHIP, SEGMENT

#: Pages of activities, and of relationships, that are read of one subject.
MAX_PAGES = 3
#: The types of activities that events of ours become.
_EVENT_TYPES = ("event", "page", "screen")


@dataclass(slots=True)
class EvidenceReader:
    """Reads what Customer.io has of subjects, and counts its requests."""

    api: AppApi
    hasher: KeyHasher
    requests: int = field(default=0)

    def read(self, subject: Subject, names: Collection[str]) -> Seen:
        """Return what Customer.io has of ``subject``, as far as the items ``names`` need it.

        Raises:
            AppApiError: nothing can be said now; a refused request is said in the result.
        """
        items = {name: subject.items[name] for name in names}
        try:
            if "object_id" in subject.address:
                return self._object(subject, items)
            return self._person(subject, items)
        except (AppApiRequestError, AppApiCallError, InvalidOperationError) as error:
            return Seen(exists=False, problem=str(error))

    # -- people

    def _person(self, subject: Subject, items: dict[str, Item]) -> Seen:
        address = dict(subject.address)
        into = address.pop("into", None)
        person = Person(**address)
        profile = self._profile(person)
        if profile is None:
            return Seen(exists=False)
        primary = self._profile(Person(**into)) if MERGED in items and into else None
        events, complete = self._events(person, items)
        related, all_related = self._relationships(person, items)
        return Seen(
            exists=True,
            attributes=profile.attributes,
            timestamps=profile.timestamps,
            keys=self._keys(profile.id, profile.email, profile.cio_id, profile.attributes),
            cio_id=profile.cio_id,
            unsubscribed=profile.unsubscribed,
            devices=frozenset(
                self.hasher.digest(f"device\0{device.id}") for device in profile.devices
            ),
            events=events,
            relationships=related,
            segments=self._segments(person, items),
            is_complete=complete and all_related,
            primary_exists=primary is not None,
            primary_cio_id=primary.cio_id if primary else None,
        )

    def _profile(self, person: Person) -> Profile | None:
        self.requests += 1
        try:
            return self.api.attributes(person)
        except AppApiNotFoundError:
            return None

    def with_deletion(self, subject: Subject, seen: Seen) -> Seen:
        """Return ``seen`` with the latest deletion of the person, if activities show one.

        The deleted person may have had other names, under which jobs of ours explain it.
        """
        if seen.problem or "object_id" in subject.address or "cio_id" in subject.address:
            return seen
        address = {kind: value for kind, value in subject.address.items() if kind != "into"}
        self.requests += 1
        try:
            activities = self.api.activities(
                Person(**address), type="profile_delete", deleted=True, limit=1
            )
            found = activities.first()
        except (AppApiNotFoundError, AppApiRequestError, AppApiCallError):
            return seen
        if found is None:
            return seen
        keys = self._keys(found.customer_id, found.email, found.cio_id, {})
        return replace(seen, deleted_at=float(found.timestamp), keys=(*seen.keys, *keys))

    def _keys(
        self, id: str | None, email: str | None, cio_id: str | None, attributes: Any
    ) -> tuple[str, ...]:
        named = {
            "id": id,
            "email": compared_email(email) if email else None,
            "cio_id": cio_id,
            "phone": attributes.get("phone"),
        }
        keys = (key_of(kind, value) for kind, value in named.items() if value)
        return tuple(self.hasher.stored(key) for key in keys)

    def _events(
        self, person: Person, items: dict[str, Item]
    ) -> tuple[tuple[SeenEvent, ...] | None, bool]:
        sent = [(name, item) for name, item in items.items() if name.startswith(EVENT)]
        if not sent:
            return None, True
        found: list[SeenEvent] = []
        complete = True
        for type in _EVENT_TYPES:
            ids = {name.rpartition(":")[2] for name, item in sent if item.tag == type}
            if not ids:
                continue
            for page in self._pages(self.api.activities(person, type=type)):
                found += [
                    SeenEvent(each.id, each.name or each.url or "", float(each.timestamp))
                    for each in page.items
                ]
                ids -= {each.id for each in found}
                if not ids:
                    break
                complete = complete and not (page.is_last_read and page.has_more)
        return tuple(found), complete

    def _segments(self, person: Person, items: dict[str, Item]) -> frozenset[int] | None:
        if not any(name.startswith(SEGMENT) for name in items):
            return None
        self.requests += 1
        return frozenset(segment.id for segment in self.api.segments(person))

    # -- objects

    def _object(self, subject: Subject, items: dict[str, Item]) -> Seen:
        ref = ObjectRef(subject.address["object_type_id"], subject.address["object_id"])
        self.requests += 1
        try:
            profile = self.api.object_attributes(ref)
        except AppApiNotFoundError:
            return Seen(exists=False)
        related, complete = self._relationships(ref, items)
        return Seen(
            exists=True,
            attributes={
                name: text
                for name, value in profile.attributes.items()
                if (text := _text(value)) is not None
            },
            timestamps=profile.timestamps,
            keys=(subject.key,),
            relationships=related,
            is_complete=complete,
        )

    # -- both

    def _relationships(
        self, subject: Person | ObjectRef, items: dict[str, Item]
    ) -> tuple[frozenset[str] | None, bool]:
        wanted = {
            name.removeprefix(RELATIONSHIP) for name in items if name.startswith(RELATIONSHIP)
        }
        if not wanted:
            return None, True
        found: set[str] = set()
        results: Results[Any] = self.api.relationships(subject)
        complete = True
        for page in self._pages(results):
            found |= {key for each in page.items for key in self._related(each)}
            complete = not (page.is_last_read and page.has_more)
        return frozenset(found), complete

    def _related(self, related: RelatedObject | RelatedPerson) -> Iterator[str]:
        if isinstance(related, RelatedPerson):
            yield from self._keys(related.id, related.email, related.cio_id, {})
            return
        if related.object_id:
            named = {"object_type_id": related.object_type_id, "object_id": related.object_id}
            yield self.hasher.stored(object_key(named))
        if related.cio_object_id:
            yield self.hasher.stored(object_key({"cio_object_id": related.cio_object_id}))

    def _pages(self, results: Results[Any]) -> Iterator[_ReadPage]:
        for number in range(1, MAX_PAGES + 1):
            self.requests += 1
            try:
                items = results.page()
            except AppApiNotFoundError:
                return  # gone since the profile was read
            has_more = results.next_start is not None
            yield _ReadPage(items, number == MAX_PAGES, has_more)
            if not has_more:
                return


@dataclass(frozen=True, slots=True)
class _ReadPage:
    items: list[Any]
    is_last_read: bool
    has_more: bool


def _text(value: Any) -> str | None:
    """Return an object's attribute as a person's attributes are: a text, or JSON as a text."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)
