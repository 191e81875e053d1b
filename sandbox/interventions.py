"""What somebody else does in the workspace: another program, or a person in Customer.io's pages."""

from __future__ import annotations

from typing import Any

import msgspec

from trackrelay.sandbox.losses import person_key
from trackrelay.sandbox.parsed_operations import Arrival, PersonRef, person_ref
from trackrelay.sandbox.workspace.identify_operations import Identify
from trackrelay.sandbox.workspace.timed_attributes import Changes
from trackrelay.sandbox.workspace.workspace_state import State


def _ref(key: str) -> PersonRef:
    """Return the reference to the person with a key.

    Raises:
        ValueError: It is no key of a person.
    """
    kind, _, value = person_key(key).partition(":")
    if kind not in ("id", "email", "phone", "cio_id") or not value:
        raise ValueError(f"{key!r} is no key of a person; write id:42 or email:ada@example.com")
    return person_ref(kind, value)


class Overwrite(
    msgspec.Struct, tag_field="kind", tag="overwrite", forbid_unknown_fields=True, frozen=True
):
    """Another writer sets an attribute, or removes it with null."""

    person: str
    name: str
    value: Any

    def act(self, state: State, arrival: Arrival) -> None:
        """Set the attribute.

        Raises:
            ValueError: There is no such person.
        """
        named = _ref(self.person)
        person = state.find(named)
        if person is None:
            raise ValueError(f"there is nobody called {self.person}")
        by_cio_id = person_ref("cio_id", person.cio_id)
        # Only a cio_id can change identifiers, but nobody may have it any more.
        ref = by_cio_id if state.find(by_cio_id) is person else named
        written = {self.name: self.value}
        Identify(keys=(ref.key,), person=ref, attributes=written).apply(state, arrival)


class TakeOver(
    msgspec.Struct, tag_field="kind", tag="take_over", forbid_unknown_fields=True, frozen=True
):
    """A person, created if needed, takes over an email address; who had it loses it."""

    email: str
    person: str

    def act(self, state: State, arrival: Arrival) -> None:
        """Move the email address.

        Raises:
            ValueError: The person has an unknown cio_id.
        """
        taken = person_ref("email", self.email)
        person = state.find_or_create(_ref(self.person), arrival)
        if person is None:
            raise ValueError(f"there is nobody called {self.person}")
        holder = state.find(taken)
        if holder is person:
            return
        if holder is not None:
            lost = Changes()
            lost += ("email", holder.identifiers["email"], None)
            state.people.take(holder, "email")
            state.record_changes(holder, lost, arrival)
        given = Changes()
        given += ("email", person.identifiers.get("email"), self.email)
        state.people.give(person, taken, arrival.at)
        state.record_changes(person, given, arrival)


class SilentSuppression(
    msgspec.Struct, tag_field="kind", tag="suppress", forbid_unknown_fields=True, frozen=True
):
    """A person is deleted and suppressed; later operations leave no trace."""

    person: str

    def act(self, state: State, arrival: Arrival) -> None:
        """Suppress the person."""
        state.suppressions.silent |= state.suppress(_ref(self.person), arrival)


class ForgetCioId(
    msgspec.Struct, tag_field="kind", tag="forget_cio_id", forbid_unknown_fields=True, frozen=True
):
    """Nobody has a cio_id any more; the person is found by the other identifiers only."""

    cio_id: str

    def act(self, state: State, arrival: Arrival) -> None:
        """Forget the cio_id.

        Raises:
            ValueError: Nobody has it.
        """
        bare = self.cio_id.removeprefix("cio_id:").removeprefix("cio_")
        if not state.people.forget_cio_id(bare):
            raise ValueError(f"nobody has the cio_id {bare}")


Intervention = Overwrite | TakeOver | SilentSuppression | ForgetCioId


def parse_intervention(document: Any) -> Intervention:
    """Return the intervention that a JSON document describes.

    Raises:
        ValueError: The document describes none.
    """
    try:
        return msgspec.convert(document, Intervention)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
