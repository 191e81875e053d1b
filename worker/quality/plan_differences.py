"""What differs between a tracking plan and what was observed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from .catalog import Catalog, SubjectStats
from .observed_values import (
    IDENTIFY,
    Observed,
    event_stats,
    job_count,
    observed_values,
    people_values,
)
from .planned_types import JSON_TYPES, allowed_types, shares
from .shapes import ValueType

if TYPE_CHECKING:
    from trackrelay.plan.plan_model import EventPlan, Plan, PropertyPlan


class DifferenceKind(StrEnum):
    """How the plan and the applications differ."""

    NOT_PLANNED = "not planned"
    NOT_OBSERVED = "not observed"
    OTHER_NAME = "other name"
    OTHER_TYPE = "other type"
    SOMETIMES_MISSING = "missing"
    OTHER_SOURCE = "other source"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes:
        subject: the event, or ``person.identify``.
        path: the property; empty: the event itself.
        kind: what differs.
        text: how, in words.
        jobs: how many observed jobs differ.
    """

    subject: str
    path: str
    kind: DifferenceKind
    text: str
    jobs: int = 0


def differences(plan: Plan, catalog: Catalog) -> list[Difference]:
    """Return all differences, in the order of the plan; then what is not planned."""
    observed = event_stats(catalog)
    found = [each for event in plan.events.values() for each in _of_event(event, observed)]
    found += _of_people(plan, people_values(catalog))
    if not plan.additional_events:
        for name, same in observed.items():
            if plan.event(name) is None:
                text = f"{_times(job_count(same))} {_senders(same)}"
                kind = DifferenceKind.NOT_PLANNED
                found.append(Difference(name, "", kind, text, job_count(same)))
    return found


def _of_event(event: EventPlan, observed: Mapping[str, list[SubjectStats]]) -> Iterator[Difference]:
    same = [stats for name in (event.name, *event.aliases) for stats in observed.get(name, ())]
    jobs = job_count(same)
    if not jobs:
        yield Difference(event.name, "", DifferenceKind.NOT_OBSERVED, "no application sends it")
        return
    for alias in event.aliases:
        if sent := observed.get(alias):
            text = f"sent as {alias}, {_times(job_count(sent))} {_senders(sent)}"
            kind = DifferenceKind.OTHER_NAME
            yield Difference(event.name, "", kind, text, job_count(sent))
    others = [stats for stats in same if event.owners and stats.subject.source not in event.owners]
    if others:
        text = f"{_times(job_count(others))} {_senders(others)}; owner: {', '.join(event.owners)}"
        kind = DifferenceKind.OTHER_SOURCE
        yield Difference(event.name, "", kind, text, job_count(others))
    values = observed_values(same)
    yield from _of_values(event.name, event.properties, values, is_state=False)
    for each in event.properties.values():
        present = sum(values[name].count for name in (each.name, *each.aliases) if name in values)
        if each.required and 0 < present < jobs:
            text = f"in {present:,} of {jobs:,} events; planned: required"
            kind = DifferenceKind.SOMETIMES_MISSING
            yield Difference(event.name, each.name, kind, text, jobs - present)


def _of_people(plan: Plan, values: Mapping[str, Observed]) -> Iterator[Difference]:
    if not plan.attributes and plan.additional_attributes:
        return
    yield from _of_values(IDENTIFY, plan.attributes, values, is_state=True)
    for attribute in plan.attributes.values():
        if not attribute.owners:
            continue
        for name in (attribute.name, *attribute.aliases):
            sources = values[name].sources if name in values else set()
            if others := sorted(sources - set(attribute.owners)):
                writers = ", ".join(each or "no source" for each in others)
                text = f"from {writers}; owner: {', '.join(attribute.owners)}"
                yield Difference(IDENTIFY, name, DifferenceKind.OTHER_SOURCE, text)


def _of_values(
    subject: str,
    planned: Mapping[str, PropertyPlan],
    values: Mapping[str, Observed],
    *,
    is_state: bool,
) -> Iterator[Difference]:
    names: set[str] = set()
    for each in planned.values():
        sent = [name for name in (each.name, *each.aliases) if name in values]
        names.update(sent)
        if not sent:
            text = "no application sends it"
            yield Difference(subject, each.name, DifferenceKind.NOT_OBSERVED, text)
        for name in sent:
            if name != each.name:
                text = f"sent as {name}, {_times(values[name].count)}"
                kind = DifferenceKind.OTHER_NAME
                yield Difference(subject, each.name, kind, text, values[name].count)
            observed = values[name]
            if is_state:
                # A null takes an attribute away, whatever its type.
                observed = replace(observed, counts=Counter(observed.counts))
                del observed.counts[ValueType.NULL]
            yield from _of_types(subject, name, each.schema, observed)
    for name, observed in values.items():
        if name not in names:
            types = " or ".join(sorted(observed.counts))
            text = f"{_times(observed.count)}: {types}"
            yield Difference(subject, name, DifferenceKind.NOT_PLANNED, text, observed.count)


def _of_types(
    subject: str, path: str, schema: Mapping[str, Any], observed: Observed
) -> Iterator[Difference]:
    allowed = allowed_types(schema)
    if allowed is not None:
        wrong = [each for each in observed.counts if JSON_TYPES[ValueType(each)] not in allowed]
        if wrong:
            planned = schema["type"]
            words = planned if isinstance(planned, str) else " or ".join(planned)
            text = f"{shares(observed.counts, sorted(wrong))}; planned: {words}"
            jobs = sum(observed.counts[each] for each in wrong)
            yield Difference(subject, path, DifferenceKind.OTHER_TYPE, text, jobs)
    properties, items = schema.get("properties"), schema.get("items")
    if isinstance(properties, Mapping):
        for name, each in observed.properties.items():
            if isinstance(properties.get(name), Mapping):
                yield from _of_types(subject, f"{path}.{name}", properties[name], each)
    if isinstance(items, Mapping) and observed.items is not None:
        yield from _of_types(subject, f"{path}[]", items, observed.items)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _senders(same: Iterable[SubjectStats]) -> str:
    sources = sorted({stats.subject.source for stats in same})
    return "from " + ", ".join(each or "no source" for each in sources)
