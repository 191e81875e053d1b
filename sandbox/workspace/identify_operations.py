"""Identifies and forms: they create and change people."""

from __future__ import annotations

from typing import Any

from trackrelay.sandbox.parsed_operations import (
    Arrival,
    JsonObject,
    ObjectRef,
    Operation,
    PersonRef,
    Relationship,
    person_ref,
)
from trackrelay.sandbox.shape_checks import is_email, is_phone

from .people import IDENTIFIERS, Person
from .timed_attributes import Changes
from .workspace_state import (
    DONE,
    NOBODY_TO_UPDATE,
    UNKNOWN_CIO_ID,
    Outcome,
    State,
    done,
)

#: These have rules of their own and are never stored as attributes.
_NOT_ATTRIBUTES = frozenset({*IDENTIFIERS, "cio_id", "anonymous_id", "_update"})


class PersonOperation(Operation, frozen=True, kw_only=True):
    """An operation about one person; nothing happens if the person is suppressed."""

    type: str = "person"
    person: PersonRef

    def apply(self, state: State, arrival: Arrival) -> Outcome:
        """Change the person, unless the person is suppressed."""
        if state.suppressions.covers(self.person.key):
            return state.skip_suppressed(self, arrival)
        return self.change(state, arrival)

    def change(self, state: State, arrival: Arrival) -> Outcome:
        """Change the person; return what became of the operation."""
        raise NotImplementedError


class Identify(PersonOperation, frozen=True, kw_only=True):
    """Create or update a person."""

    action: str = "identify"
    relationships: tuple[Relationship, ...] = ()
    #: An identify of v1 can remove relationships.
    remove_relationships: bool = False
    update_only: bool = False

    def change(self, state: State, arrival: Arrival) -> Outcome:
        """Create or update a person, join anonymous activity, change relationships.

        Customer.io accepts operations of which a part fails, and shows the failures only in its
        own interface.
        """
        at = arrival.at if self.timestamp is None else self.timestamp
        attributes = self.attributes or {}
        changes = Changes()
        person = state.people.find(self.person.key)
        if person is None:
            if self.person.kind == "cio_id":
                return state.fail("failed_attribute_change", self, UNKNOWN_CIO_ID, arrival)
            person = self._find_or_create(state, at, changes, arrival)
            if person is None:
                return NOBODY_TO_UPDATE
        for kind in IDENTIFIERS:
            if kind in attributes:
                self._change_identifier(state, person, kind, at, changes)
        person.attributes.update(attributes, at, changes, _NOT_ATTRIBUTES)
        if anonymous_id := attributes.get("anonymous_id"):
            _join(state, person, anonymous_id, changes, arrival)
        if not changes and not changes.failed and not self.relationships:
            return DONE
        state.record_changes(person, changes, arrival)
        related, remove = self.relationships, self.remove_relationships
        return done(changes.notes + relate(state, person, related, remove, arrival))

    def _find_or_create(
        self, state: State, at: float, changes: Changes, arrival: Arrival
    ) -> Person | None:
        """Return the person if nobody has the identifier of the call.

        If a person has one of the identifiers among the attributes, then the identify is about
        that person, who gets the identifier of the call.
        """
        person = state.people.find_by_attributes(self.attributes or {})
        if person is not None:
            _give(state, person, self.person, at, changes)
        elif not self.update_only:
            person = state.create(self.person, at, arrival)
            changes += (self.person.kind, None, self.person.value)
        return person

    def _change_identifier(
        self, state: State, person: Person, kind: str, at: float, changes: Changes
    ) -> None:
        value: Any = (self.attributes or {})[kind]
        current = person.identifiers.get(kind)
        may_change = self.person.kind == "cio_id" or (
            kind == "email" and self.person.kind == "id" and state.settings.email_updates_with_id
        )
        if value is None or value == "":
            if current is not None and may_change:
                state.people.take(person, kind)
                changes += (kind, current, None)
            elif current is not None:
                changes.fail(kind, current, None, _unchangeable(kind))
            return
        error = None
        if not _is_plausible(kind, value):
            error = f"{kind} is not valid"
        else:
            ref = person_ref(kind, value)
            if current is not None and person_ref(kind, current).key == ref.key:
                return
            if state.suppressions.covers(ref.key):
                error = f"{kind} is suppressed"
            elif state.find(ref) is not None:
                error = f"{kind} belongs to somebody else"
            elif current is not None and not may_change:
                error = _unchangeable(kind)
            else:
                _give(state, person, ref, at, changes)
        if error is not None:
            changes.fail(kind, current, value, error)


def _unchangeable(kind: str) -> str:
    return f"{kind} is already set; changing it needs cio_id"


def _is_plausible(kind: str, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return is_email(value) if kind == "email" else is_phone(value) if kind == "phone" else True


def _give(state: State, person: Person, ref: PersonRef, at: float, changes: Changes) -> None:
    """Give a person an identifier that nobody has."""
    changes += (ref.kind, person.identifiers.get(ref.kind), ref.value)
    state.people.give(person, ref, at)


def _join(
    state: State, person: Person, anonymous_id: str, changes: Changes, arrival: Arrival
) -> None:
    """Give a person an anonymous id with its events and relationships."""
    if not state.people.join_anonymous(person, person_ref("anonymous_id", anonymous_id)):
        error = "anonymous_id belongs to somebody else"
        changes.fail("anonymous_id", None, anonymous_id, error)
        return
    joined: JsonObject = {"anonymous_id": anonymous_id}
    person.attributes.update(joined, arrival.at, changes)
    if state.settings.event_merging and (events := state.anonymous.take_events(anonymous_id)):
        taken = state.take_over(person, events, arrival.at)
        state.activities.add(arrival, "anon_merge", person.cio_id, joined)
        if state.observer is not None:
            for event in taken:
                state.observer.event_added(person, event, arrival.at)
    for cio_object_id, attributes in state.anonymous.take_relationships(anonymous_id).items():
        if (other := state.objects.by_cio_id(cio_object_id)) is not None:
            state.relate(person, other, attributes, arrival)


def relate(
    state: State,
    person: Person,
    relationships: tuple[Relationship, ...],
    remove: bool,
    arrival: Arrival,
) -> list[str]:
    """Add or remove relationships of a person to objects; return what failed."""
    failures = []
    for each in relationships:
        ref = each.other
        assert isinstance(ref, ObjectRef)
        if remove:
            if (other := state.objects.find(ref.key)) is not None:
                state.part(person, other, arrival)
        elif (other := state.find_or_create_object(ref, arrival)) is not None:
            failures += state.relate(person, other, each.attributes, arrival)
    return failures


class SubmitForm(PersonOperation, frozen=True, kw_only=True):
    """Submit a form."""

    type: str = "form"
    action: str = "submit"
    form_id: str

    def apply(self, state: State, arrival: Arrival) -> Outcome:
        """Set the fields of a form as attributes of the person who submitted it."""
        state.forms[self.form_id] += 1
        as_identify = Identify(keys=self.keys, person=self.person, attributes=self.attributes)
        return as_identify.apply(state, arrival)
