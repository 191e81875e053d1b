"""Losses: operations that the sandbox accepts, and of which it loses a part or everything."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from trackrelay.sandbox.parsed_operations import Arrival, Operation
from trackrelay.sandbox.rule_book import ActiveRule, Rule, RuleBook
from trackrelay.sandbox.workspace.timed_attributes import Changes
from trackrelay.sandbox.workspace.workspace_state import Outcome, State

_EVENTS = (("person", "event"), ("person", "page"), ("person", "screen"))
_WITH_ATTRIBUTES = (("person", "identify"), ("form", "submit"))
#: These take an attribute away; all others concern whole operations.
_OF_ATTRIBUTES = ("attribute", "failed_attribute")


class Loss(Rule, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way to lose what was accepted.

    attribute         an identify, or a form, is applied without the attribute ``name``
    event             an event, page or screen vanishes; with ``name``, only this one
    operation         an operation with this ``action`` vanishes: merge, delete, add_device, …
    failed_attribute  like ``attribute``, but the activity log shows the failure and its ``reason``
    failed_event      like ``event``, but the activity log shows the failure and its ``reason``
    """

    kind: Literal["attribute", "event", "operation", "failed_attribute", "failed_event"]
    #: The name of an attribute or an event.
    name: str | None = None
    action: str | None = None
    #: Any key of the person, like ``id:42``. None: everybody.
    person: str | None = None
    reason: str = "refused by a loss of the sandbox"

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: A value is out of range, or missing for this kind.
        """
        self.check_rate()
        if self.kind in _OF_ATTRIBUTES and self.name is None:
            raise ValueError(f"a loss of kind {self.kind} needs the name of an attribute")
        if self.kind == "operation" and self.action is None:
            raise ValueError("a loss of kind operation needs an action")

    def concerns(self, state: State, operation: Operation) -> bool:
        """Return whether an operation matches."""
        if not self._fits(operation):
            return False
        return self.person is None or _is_about(state, operation, person_key(self.person))

    def _fits(self, operation: Operation) -> bool:
        """Return whether type, action and name of an operation match."""
        what = (operation.type, operation.action)
        if self.kind in _OF_ATTRIBUTES:
            return what in _WITH_ATTRIBUTES and self.name in (operation.attributes or ())
        if self.kind == "operation":
            return self.action == operation.action
        return what in _EVENTS and self.name in (None, operation.name)


def person_key(key: str) -> str:
    """Return a key as the workspace knows it: emails in lower case."""
    return key.lower() if key.startswith("email:") else key


def _is_about(state: State, operation: Operation, key: str) -> bool:
    if key in operation.keys:
        return True
    person = state.people.find(key)
    return person is not None and any(state.people.find(each) is person for each in operation.keys)


def parse_loss(document: Any) -> Loss:
    """Return the loss that a JSON document describes.

    Raises:
        ValueError: The document describes none.
    """
    try:
        return msgspec.convert(document, Loss)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


class LossBook(RuleBook[ActiveRule[Loss]]):
    """All losses in force."""

    def add(self, loss: Loss) -> int:
        """Put a loss in force; return its number."""
        return self.put(ActiveRule(self.next_id(), loss))

    def delete_all(self) -> None:
        """Delete all losses."""
        for active in self:
            self.delete(active.id)

    def apply(self, state: State, operation: Operation, arrival: Arrival) -> Outcome:
        """Apply an operation, or what the losses leave of it; return its outcome."""
        lost: list[str] = []
        unset: dict[str, tuple[Any, str]] = {}
        for active in self:
            loss = active.rule
            if not loss.concerns(state, operation) or not active.hit(self.chance):
                continue
            if loss.kind not in _OF_ATTRIBUTES:
                outcome = Outcome(True, f"lost (loss {active.id})")
                if loss.kind == "failed_event":
                    state.record_failure("failed_event", operation, loss.reason, arrival)
                return outcome
            name, left = str(loss.name), dict(operation.attributes or {})
            value = left.pop(name)
            operation = msgspec.structs.replace(operation, attributes=left)
            lost.append(f"lost {name} (loss {active.id})")
            if loss.kind == "failed_attribute":
                unset[name] = (value, loss.reason)
        outcome = operation.apply(state, arrival)
        person = state.people.find(operation.keys[0]) if unset else None
        if person is not None:
            failures = Changes()
            for name, (value, reason) in unset.items():
                failures.fail(name, person.attributes.values.get(name), value, reason)
            state.record_changes(person, failures, arrival)
        notes = "; ".join([*lost, *([outcome.note] if outcome.note else [])])
        return Outcome(outcome.ignored, notes or None)
