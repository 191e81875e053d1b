"""A tracking plan: what a team says that its events and attributes should be. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

#: How private an attribute is. Customer.io's Data Index tells only ``sensitive`` from the others.
Privacy = Literal["none", "personal", "sensitive"]


class Enforcement(StrEnum):
    """What workers do with a job that violates the plan."""

    #: Nothing.
    OFF = "off"
    #: Count it as a finding, and deliver the job.
    WARN = "warn"
    #: Repair what can be repaired without a loss, count the rest, and deliver the job.
    FIX = "fix"
    #: Keep the job as a dead letter.
    DEAD_LETTER = "dead_letter"


@dataclass(frozen=True, slots=True)
class Policy:
    """Which enforcement applies to something, by the application that sent the job."""

    default: Enforcement | None = None
    sources: Mapping[str, Enforcement] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PropertyPlan:
    """A property of an event, or an attribute of a person or an object.

    Attributes:
        name: its name.
        schema: the JSON Schema of its value.
        description: what it means.
        required: whether each event must have it.
        aliases: other names under which applications send it.
        owners: the applications that may send it; empty: all. Attributes alone have owners.
        privacy: how private it is; None: the plan does not say.
        policy: the enforcement of its own. Attributes alone have one.
        line: where the file describes it.
    """

    name: str
    schema: Mapping[str, Any]
    description: str = ""
    required: bool = False
    aliases: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    privacy: Privacy | None = None
    policy: Policy = Policy()
    line: int = 0

    @property
    def types(self) -> tuple[str, ...]:
        """The JSON Schema types of its value; empty: any."""
        given = self.schema.get("type", ())
        return (given,) if isinstance(given, str) else tuple(given)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPlan:
    """An event.

    Attributes:
        name: its name.
        description: what it means.
        owners: the applications that may send it; empty: all.
        aliases: other names under which applications send it.
        policy: the enforcement of its own.
        lateness_s: how many seconds after the event its delivery is still in time; None: any.
        changes: the attributes of the person that must change with it.
        id_property: the property that identifies what happened, such as ``order_id``.
        properties: its properties by name.
        additional_properties: whether it may have others.
        line: where the file describes it.
    """

    name: str
    description: str = ""
    owners: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    policy: Policy = Policy()
    lateness_s: float | None = None
    changes: tuple[str, ...] = ()
    id_property: str | None = None
    properties: Mapping[str, PropertyPlan] = field(default_factory=dict)
    additional_properties: bool = True
    line: int = 0

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the properties that each event must have."""
        return tuple(each.name for each in self.properties.values() if each.required)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the event's data."""
        return object_schema(self.properties, self.additional_properties)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPlan:
    """A type of objects.

    Attributes:
        name: its name.
        type_id: its number in the workspace.
        description: what it means.
        attributes: the attributes of its objects by name.
        additional_attributes: whether they may have others.
        line: where the file describes it.
    """

    name: str
    type_id: str
    description: str = ""
    attributes: Mapping[str, PropertyPlan] = field(default_factory=dict)
    additional_attributes: bool = True
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A tracking plan.

    Attributes:
        name: its name.
        description: what it covers.
        policy: the enforcement of all that has none of its own.
        events: the events by name.
        attributes: the attributes of people by name.
        objects: the types of objects by name.
        additional_events: whether applications may send other events.
        additional_attributes: whether people may have other attributes.
        file: where it comes from.
        text: the text of the file.
        digest: the SHA-256 of what the text says. Comments and the order of names do not count.
    """

    name: str
    description: str = ""
    policy: Policy = Policy()
    events: Mapping[str, EventPlan] = field(default_factory=dict)
    attributes: Mapping[str, PropertyPlan] = field(default_factory=dict)
    objects: Mapping[str, ObjectPlan] = field(default_factory=dict)
    additional_events: bool = False
    additional_attributes: bool = True
    file: str = ""
    text: str = ""
    digest: str = ""

    @cached_property
    def event_aliases(self) -> Mapping[str, str]:
        """The planned name of each alias of an event."""
        return {alias: each.name for each in self.events.values() for alias in each.aliases}

    def event(self, name: str) -> EventPlan | None:
        """Return the event that is sent as ``name``, or as one of its aliases."""
        return self.events.get(name) or self.events.get(self.event_aliases.get(name, ""))

    def enforcement(self, policy: Policy, source: str | None) -> Enforcement:
        """Return what applies to a job of ``source``.

        What names the source wins over a default, and then the event or attribute over the plan.
        """
        if source is not None:
            own = policy.sources.get(source) or self.policy.sources.get(source)
            if own is not None:
                return own
        return policy.default or self.policy.default or Enforcement.WARN


def object_schema(
    properties: Mapping[str, PropertyPlan], additional_properties: bool
) -> dict[str, Any]:
    """Return the JSON Schema of an object with these properties."""
    made: dict[str, Any] = {
        "type": "object",
        "properties": {name: dict(each.schema) for name, each in properties.items()},
        "required": [name for name, each in properties.items() if each.required],
    }
    if not additional_properties:
        made["additionalProperties"] = False
    return made


def aliases_of(properties: Mapping[str, PropertyPlan]) -> dict[str, str]:
    """Return the planned name of each alias of a property."""
    return {alias: each.name for each in properties.values() for alias in each.aliases}
