"""Draft a tracking plan from what was observed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import names
from .catalog import Catalog, SubjectStats
from .observed_values import (
    IDENTIFY,
    Observed,
    event_stats,
    job_count,
    observed_values,
    people_values,
    sources_of,
)
from .planned_types import planned_type, shares
from .shapes import ValueType

#: Events of a draft, and properties of one event. What is rarer is probably an invented name.
MAX_EVENTS, MAX_PROPERTIES = 300, 200
#: The last word of a name whose whole numbers are times.
_TIME_WORDS = {"at", "on", "time", "date", "timestamp", "since", "until"}


@dataclass(slots=True)
class Draft:
    """A plan as its file has it, and what somebody should look at."""

    document: dict[str, Any]
    remarks: list[str] = field(default_factory=list)


def draft_plan(catalog: Catalog, name: str) -> Draft:
    """Return a plan that says what was observed.

    A property is required if every observed job had it. An application owns an event or attribute
    if no other one sends it. Spellings of one name become aliases of the most frequent one.

    Args:
        catalog: what was observed.
        name: the plan's name.
    """
    drafter = _Drafter(catalog)
    events = drafter.events()
    document: dict[str, Any] = {"plan": 1, "name": name, "enforcement": "warn"}
    document["events"] = events
    if attributes := drafter.attributes():
        document["attributes"] = attributes
    return Draft(document, drafter.remarks)


class _Drafter:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._sources = {subject.source for subject in catalog.subjects}
        self.remarks: list[str] = []

    def events(self) -> dict[str, Any]:
        observed = event_stats(self._catalog)
        real = {name: same for name, same in observed.items() if not self._is_no_name(name)}
        groups = _spellings(real)
        if len(groups) > MAX_EVENTS:
            self.remarks.append(
                f"{len(groups):,} events were observed; the {MAX_EVENTS} most frequent are here"
            )
        return {
            name: self._event(
                name, aliases, [stats for each in (name, *aliases) for stats in real[each]]
            )
            for name, aliases in sorted(list(groups.items())[:MAX_EVENTS])
        }

    def attributes(self) -> dict[str, Any]:
        return self._properties(IDENTIFY, people_values(self._catalog), owned=True)

    def _is_no_name(self, event: str) -> bool:
        if names.is_placeholder(event) or names.is_trial(event):
            self.remarks.append(f"{event} is left out: it is no name of an event")
            return True
        return False

    def _note_rivals(self, events: Sequence[str]) -> None:
        rivals: dict[int, list[str]] = {}
        for name in events:
            group = names.event_group(name)
            if group is not None:
                rivals.setdefault(group, []).append(name)
        for same in rivals.values():
            if len(same) > 1:
                self.remarks.append(
                    f"{' and '.join(same)} may be one event: keep one, with the other as an alias"
                )

    def _event(
        self, name: str, aliases: Sequence[str], same: Sequence[SubjectStats]
    ) -> dict[str, Any]:
        values = observed_values(same)
        event: dict[str, Any] = {"description": ""}
        if owner := self._owner(sources_of(same)):
            event["owner"] = owner
        if aliases:
            event["aliases"] = list(aliases)
            self.remarks.append(f"{name} is also sent as {', '.join(aliases)}")
        properties = self._properties(name, values, owned=False)
        if properties:
            event["properties"] = properties
        jobs = job_count(same)
        required = [
            each
            for each, made in properties.items()
            if sum(values[one].count for one in (each, *made.get("aliases", ()))) >= jobs
        ]
        if required:
            event["required"] = required
        return event

    def _properties(
        self, subject: str, values: Mapping[str, Observed], *, owned: bool
    ) -> dict[str, Any]:
        ordered = dict(sorted(values.items(), key=lambda each: (-each[1].count, each[0])))
        groups = list(_spellings(ordered).items())
        if len(groups) > MAX_PROPERTIES:
            self.remarks.append(
                f"{subject} had {len(groups):,} properties; the {MAX_PROPERTIES} most frequent "
                "are here"
            )
        made: dict[str, Any] = {}
        for name, aliases in sorted(groups[:MAX_PROPERTIES]):
            same = [values[each] for each in (name, *aliases)]
            schema = self._schema(f"{subject}.{name}", _together(same))
            if aliases:
                schema["aliases"] = aliases
                self.remarks.append(f"{subject}.{name} is also sent as {', '.join(aliases)}")
            if owned and (owner := self._owner(tuple({s for each in same for s in each.sources}))):
                schema["owner"] = owner
            made[name] = schema
        return made

    def _schema(self, path: str, observed: Observed) -> dict[str, Any]:
        types, accidents = planned_type(observed.counts)
        if accidents:
            planned = " or ".join(types)
            self.remarks.append(
                f"{path} is {planned} here, and was {shares(observed.counts, accidents)}"
            )
        elif len([each for each in types if each != "null"]) > 1:
            self.remarks.append(f"{path} had several types: {' and '.join(types)}")
        schema: dict[str, Any] = {}
        if types:
            schema["type"] = types[0] if len(types) == 1 else types
        if set(observed.counts) - {ValueType.NULL} == {ValueType.UNIX_S} and _is_time(path):
            schema["format"] = "unix-seconds"
        if "object" in types and observed.properties:
            schema["properties"] = {
                name: self._schema(f"{path}.{name}", each)
                for name, each in sorted(observed.properties.items())
            }
        if "array" in types and observed.items is not None:
            schema["items"] = self._schema(f"{path}[]", observed.items)
        return schema

    def _owner(self, sources: Sequence[str]) -> str | None:
        # With one application alone, an owner says nothing.
        is_one = len(self._sources) > 1 and len(sources) == 1
        return (sources[0] or None) if is_one else None


def _is_time(path: str) -> bool:
    """Whether a name says that its value is a time: a number may only look like one."""
    return bool(_TIME_WORDS & set(names.words(path.rpartition(".")[2])[-1:]))


def _spellings(ordered: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the other spellings of each name; the first one of several is the name."""
    groups: dict[str, list[str]] = {}
    for name in ordered:
        known = next((each for each in groups if names.same_words(each, name)), None)
        if known is None:
            groups[name] = []
        else:
            groups[known].append(name)
    return groups


def _together(same: Iterable[Observed]) -> Observed:
    first, *others = same
    if not others:
        return first
    joined = Observed(first.counts.copy(), set(first.sources), first.properties, first.items)
    for each in others:
        joined.counts += each.counts
        joined.sources |= each.sources
    return joined
