"""Check operations against a tracking plan: names and types, never a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from .plan_model import (
    Enforcement,
    EventPlan,
    ObjectPlan,
    Plan,
    Policy,
    PropertyPlan,
    aliases_of,
    object_schema,
)
from .schema_validator import Fault, SchemaValidator

#: Attributes that have a meaning of their own at Customer.io; a plan need not have them.
RESERVED = "^(_.*|cio_.*|anonymous_id)$"
#: What a message shows of a name.
MAX_NAME = 100

Place = tuple[str | int, ...]


class ViolationKind(StrEnum):
    """What is wrong."""

    #: The plan has no such event.
    UNPLANNED_EVENT = "unplanned_event"
    #: The event is sent under another name.
    ALIAS_EVENT = "alias_event"
    #: A property is sent under another name.
    ALIAS_PROPERTY = "alias_property"
    #: A required property is missing.
    MISSING = "missing"
    #: A value has another type.
    TYPE = "type"
    #: A value has the right type, and the plan does not allow it.
    VALUE = "value"
    #: The plan has no such property.
    UNPLANNED_PROPERTY = "unplanned_property"
    #: Another application owns the event or the attribute.
    NOT_OWNER = "not_owner"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with one operation.

    Attributes:
        subject: the event's name as it was sent, ``person.identify``, or ``object.identify NAME``.
        at: where it is in the attributes, outermost step first; empty: the operation itself.
        kind: what is wrong.
        expected: what the plan says, in words.
        actual: what was sent: a type, or a name; never a value.
        enforcement: what the plan says for this source.
        types: the JSON Schema types that the plan allows, if the type is wrong.
        target: the planned name, if another one was sent.
    """

    subject: str
    at: Place
    kind: ViolationKind
    expected: str
    actual: str
    enforcement: Enforcement
    types: tuple[str, ...] = ()
    target: str = ""

    @property
    def path(self) -> str:
        """Where it is, such as ``items[0].price``."""
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.at)
        return "".join(steps).lstrip(".")[: 4 * MAX_NAME]

    @property
    def text(self) -> str:
        """One sentence for people."""
        where = f"{self.subject}.{self.path}" if self.at else self.subject
        return f"{where}: expected {self.expected}, got {self.actual}"


class PlanChecker:
    """A plan, compiled. Threads can share it.

    Args:
        plan: the plan.
        with_owners: whether to check who sent it.

    Raises:
        ValueError: a schema in the plan is no JSON Schema. A loaded plan has none.
    """

    def __init__(self, plan: Plan, *, with_owners: bool = True) -> None:
        self.plan = plan if with_owners else _without_owners(plan)
        plan = self.plan
        self._events: dict[str, _Subject] = {}
        for event in plan.events.values():
            subject = _event_subject(plan, event)
            for name in (event.name, *event.aliases):
                self._events[name] = subject
        self._people = _Subject(
            plan, plan.attributes, additional=plan.additional_attributes, is_state=True
        )
        self._objects = {
            each.type_id: (each, _object_subject(plan, each)) for each in plan.objects.values()
        }

    def violations(
        self, operation: str, document: Mapping[str, Any], source: str | None
    ) -> tuple[Violation, ...]:
        """Return how an operation violates the plan; empty if it does not.

        What the plan switches off for this source is left out.

        Args:
            operation: ``type.action``, such as ``person.event``.
            document: its document, as the Track API's v2 has it.
            source: the application that sent it.
        """
        if operation == "person.event" or operation == "anonymous.event":
            name = document.get("name")
            if type(name) is not str:
                return ()
            subject = self._events.get(name)
            if subject is None:
                return self._unplanned(name, source)
            data = document.get("attributes")
            if type(data) is not dict:
                data = {}
            if name == subject.name and subject.accepts(data, source):
                return ()
            return subject.violations(name, data, source)
        if operation == "person.identify":
            data = _attributes(document)
            if not data or self._people.accepts(data, source):
                return ()
            return self._people.violations(operation, data, source)
        if operation in ("object.identify", "object.identify_anonymous"):
            return self._of_object(operation, document, source)
        return ()

    def _of_object(
        self, operation: str, document: Mapping[str, Any], source: str | None
    ) -> tuple[Violation, ...]:
        data, identifiers = _attributes(document), document.get("identifiers")
        type_id = identifiers.get("object_type_id") if isinstance(identifiers, dict) else None
        planned = self._objects.get(str(type_id))
        if not data or planned is None or planned[1].accepts(data, source):
            return ()
        return planned[1].violations(f"{operation} {planned[0].name}", data, source)

    def _unplanned(self, name: str, source: str | None) -> tuple[Violation, ...]:
        enforcement = self.plan.enforcement(Policy(), source)
        if self.plan.additional_events or enforcement is Enforcement.OFF:
            return ()
        found = Violation(
            name[:MAX_NAME],
            (),
            ViolationKind.UNPLANNED_EVENT,
            "a planned event",
            "an event without a plan",
            enforcement,
        )
        return (found,)


class _Subject:
    """What is checked together: the data of an event, or the attributes of a person or object."""

    def __init__(
        self,
        plan: Plan,
        properties: Mapping[str, PropertyPlan],
        *,
        additional: bool,
        event: EventPlan | None = None,
        is_state: bool = False,
    ) -> None:
        self._plan = plan
        self._properties = properties
        self._event = event
        #: The planned name of an event.
        self.name = event.name if event else ""
        #: A null takes an attribute away, whatever its type.
        self._is_state = is_state
        self._aliases = aliases_of(properties)
        self._owners = frozenset(event.owners if event else ())
        self._owned = {name: each.owners for name, each in properties.items() if each.owners}
        schema = object_schema(properties, additional)
        if is_state and not additional:
            schema["patternProperties"] = {RESERVED: True}
        self._validator = SchemaValidator(schema)

    def accepts(self, data: Mapping[str, Any], source: str | None) -> bool:
        """Whether nothing is wrong. This runs for each operation."""
        if self._owners and source not in self._owners:
            return False
        if self._aliases and not self._aliases.keys().isdisjoint(data):
            return False
        if self._owned:
            for name in self._owned.keys() & data.keys():
                if source not in self._owned[name]:
                    return False
        if self._is_state and None in data.values():
            data = {name: value for name, value in data.items() if value is not None}
        return self._validator.is_valid(data)

    def violations(
        self, sent: str, data: Mapping[str, Any], source: str | None
    ) -> tuple[Violation, ...]:
        """Return what is wrong with an operation that was sent as ``sent``."""
        report = _Report(self._plan, self._event, self._properties, sent[:MAX_NAME], source)
        if self._event and sent != self.name:
            report.note((), ViolationKind.ALIAS_EVENT, self.name, sent, target=self.name)
        if self._owners and source not in self._owners:
            report.note((), ViolationKind.NOT_OWNER, _owners(self._owners), _source(source))
        renamed: dict[str, str] = {}
        planned: dict[str, Any] = {}
        for name, value in data.items():
            target = self._aliases.get(name, name)
            if target != name:
                report.note((name,), ViolationKind.ALIAS_PROPERTY, target, name, target=target)
            if (owners := self._owned.get(target)) and source not in owners:
                report.note((name,), ViolationKind.NOT_OWNER, _owners(owners), _source(source))
            if self._is_state and value is None:
                continue
            if target == name:
                planned[name] = value
            elif target not in data:
                planned[target] = value
                renamed[target] = name
        for fault in self._validator.faults(planned):
            report.fault(fault, renamed)
        return tuple(report.found)


class _Report:
    """The violations of one operation."""

    def __init__(
        self,
        plan: Plan,
        event: EventPlan | None,
        properties: Mapping[str, PropertyPlan],
        sent: str,
        source: str | None,
    ) -> None:
        self.found: list[Violation] = []
        self._plan = plan
        self._event = event
        self._properties = properties
        self._sent = sent
        self._source = source

    def fault(self, fault: Fault, renamed: Mapping[str, str]) -> None:
        """Add what the schema says. Places have the names that were sent."""
        at = fault.at
        if at and at[0] in renamed:
            at = (renamed[str(at[0])], *at[1:])
        kind = _KIND_OF_KEYWORD.get(fault.keyword, ViolationKind.VALUE)
        actual, expected = fault.actual, fault.expected
        if kind is ViolationKind.UNPLANNED_PROPERTY:
            expected, actual = "a planned name", "a name without a plan"
        elif kind is ViolationKind.MISSING:
            planned = self._properties.get(str(fault.at[0])) if len(fault.at) == 1 else None
            expected = " or ".join(planned.types) if planned and planned.types else "a value"
            actual = "nothing"
        self.note(at, kind, expected, actual, types=fault.types)

    def note(
        self,
        at: Place,
        kind: ViolationKind,
        expected: str,
        actual: str,
        **more: Any,
    ) -> None:
        """Add a violation, unless the plan switches it off for this source."""
        enforcement = self._plan.enforcement(self._policy(at), self._source)
        if enforcement is not Enforcement.OFF:
            self.found.append(
                Violation(self._sent, at, kind, expected, actual[:MAX_NAME], enforcement, **more)
            )

    def _policy(self, at: Place) -> Policy:
        if self._event is not None:
            return self._event.policy
        name = str(at[0]) if at else ""
        for each in self._properties.values():
            if name == each.name or name in each.aliases:
                return each.policy
        return Policy()


_KIND_OF_KEYWORD = {
    "type": ViolationKind.TYPE,
    "required": ViolationKind.MISSING,
    "additionalProperties": ViolationKind.UNPLANNED_PROPERTY,
}


def _attributes(document: Mapping[str, Any]) -> Mapping[str, Any]:
    given = document.get("attributes")
    return given if isinstance(given, dict) else {}


def _without_owners(plan: Plan) -> Plan:
    events = {name: replace(each, owners=()) for name, each in plan.events.items()}
    objects = {
        name: replace(each, attributes=_unowned(each.attributes))
        for name, each in plan.objects.items()
    }
    return replace(plan, events=events, attributes=_unowned(plan.attributes), objects=objects)


def _unowned(attributes: Mapping[str, PropertyPlan]) -> dict[str, PropertyPlan]:
    return {name: replace(each, owners=()) for name, each in attributes.items()}


def _event_subject(plan: Plan, event: EventPlan) -> _Subject:
    return _Subject(plan, event.properties, additional=event.additional_properties, event=event)


def _object_subject(plan: Plan, planned: ObjectPlan) -> _Subject:
    additional = planned.additional_attributes
    return _Subject(plan, planned.attributes, additional=additional, is_state=True)


def _owners(owners: Sequence[str] | frozenset[str]) -> str:
    return f"the source {' or '.join(sorted(owners))}"


def _source(source: str | None) -> str:
    return f"the source {source}" if source else "no source"
