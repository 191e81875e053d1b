"""What an identify does: whom it finds, makes or renames, and which attributes it may change."""

from __future__ import annotations

from typing import Any

from trackrelay.sandbox.parsed_operations import Identify, JsonObject, PersonRef, person_ref
from trackrelay.sandbox.shape_checks import is_email, is_phone

from .people import IDENTIFIERS, People, Person
from .suppression import Suppressions
from .workspace_settings import Settings

#: Handled by themselves, never stored as attributes.
_APART = frozenset({*IDENTIFIERS, "cio_id", "anonymous_id", "_update"})


class Identification:
    """The rules of identify."""

    def __init__(self, people: People, suppressions: Suppressions, settings: Settings) -> None:
        self._people = people
        self._suppressions = suppressions
        self._settings = settings

    def person_for(
        self, ref: PersonRef, attributes: JsonObject, update_only: bool, at: float
    ) -> Person | None:
        """Whom the identify is about, made if need be.

        If nobody has the identifier of the call but somebody has one among the attributes, it is that somebody, and
        they get the identifier of the call, in place of one they may have had.
        """
        person = self._people.find(ref.key)
        if person is not None or ref.kind == "cio_id":
            return person
        person = self._people.somebody_named_in(attributes)
        if person is not None:
            self._people.give(person, ref, at)
            return person
        return None if update_only else self._people.create(ref, at)

    def update(self, person: Person, op: Identify, attributes: JsonObject, at: float) -> list[str]:
        """Change attributes and identifiers; returns the changes that failed, which Customer.io only shows inside."""
        failures = []
        for kind in IDENTIFIERS:
            if kind in attributes and (
                failure := self._update_identifier(person, op.person, kind, attributes, at)
            ):
                failures.append(failure)
        for name, value in attributes.items():
            if name not in _APART and (failure := person.attributes.set(name, value, at)):
                failures.append(failure)
        return failures

    def _update_identifier(
        self, person: Person, by: PersonRef, kind: str, attributes: JsonObject, at: float
    ) -> str | None:
        value, current = attributes[kind], person.identifiers.get(kind)
        if value is None or value == "":
            return self._remove_identifier(person, by, kind)
        if not _plausible(kind, value):
            return f"{kind} is not valid"
        ref = person_ref(kind, value)
        if current is not None and person_ref(kind, current).key == ref.key:
            return None
        if self._suppressions.covers(ref.key):
            return f"{kind} is suppressed"
        if self._people.find(ref.key) is not None:
            return f"{kind} belongs to somebody else"
        if current is not None and not self._may_change(by, kind):
            return f"{kind} is already set; changing it needs cio_id"
        self._people.give(person, ref, at)
        return None

    def _remove_identifier(self, person: Person, by: PersonRef, kind: str) -> str | None:
        if kind not in person.identifiers:
            return None
        if not self._may_change(by, kind):
            return f"{kind} is already set; changing it needs cio_id"
        self._people.take(person, kind)
        return None

    def _may_change(self, by: PersonRef, kind: str) -> bool:
        return by.kind == "cio_id" or (
            kind == "email" and by.kind == "id" and self._settings.email_updates_with_id
        )


def _plausible(kind: str, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return is_email(value) if kind == "email" else is_phone(value) if kind == "phone" else True
