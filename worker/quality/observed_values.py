"""The catalog's attributes as values in values, for comparison with a tracking plan. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .catalog import Catalog, SubjectStats
from .shapes import ValueType

#: The operations whose names are events of a plan.
EVENTS = ("person.event", "anonymous.event")
#: The operation whose attributes are those of people.
IDENTIFY = "person.identify"
#: Attributes that have a meaning of their own at Customer.io.
_RESERVED = re.compile(r"_.*|cio_.*|anonymous_id", re.DOTALL)


@dataclass(slots=True)
class Observed:
    """What was observed of one value.

    Attributes:
        counts: how often it had each type of the catalog.
        sources: the applications that sent it.
        properties: the values in it, by name, if it is an object.
        items: the items of it, if it is a list.
    """

    counts: Counter[str] = field(default_factory=Counter)
    sources: set[str] = field(default_factory=set)
    properties: dict[str, Observed] = field(default_factory=dict)
    items: Observed | None = None

    @property
    def count(self) -> int:
        """How many jobs had it."""
        return self.counts.total()


def event_stats(catalog: Catalog) -> dict[str, list[SubjectStats]]:
    """Return what was observed of each event, from all sources, the most frequent event first."""
    found: dict[str, list[SubjectStats]] = defaultdict(list)
    for subject, stats in catalog.subjects.items():
        if subject.operation in EVENTS and subject.name:
            found[subject.name].append(stats)
    return dict(sorted(found.items(), key=lambda each: (-job_count(each[1]), each[0])))


def people_values(catalog: Catalog) -> dict[str, Observed]:
    """Return the attributes of people, except those that Customer.io reserves."""
    same = [stats for subject, stats in catalog.subjects.items() if subject.operation == IDENTIFY]
    return {
        name: each for name, each in observed_values(same).items() if not _RESERVED.fullmatch(name)
    }


def job_count(same: Iterable[SubjectStats]) -> int:
    """Return how many jobs were observed."""
    return sum(stats.jobs for stats in same)


def sources_of(same: Iterable[SubjectStats]) -> tuple[str, ...]:
    """Return the applications that sent something."""
    return tuple(sorted({stats.subject.source for stats in same}))


def observed_values(same: Iterable[SubjectStats]) -> dict[str, Observed]:
    """Return the top attributes of the same event, each with what is in it."""
    by_path: dict[str, Observed] = defaultdict(Observed)
    for stats in same:
        for attribute in stats.attributes.values():
            observed = by_path[attribute.path]
            observed.sources.add(stats.subject.source)
            for each in attribute.types:
                observed.counts[each.type] += each.count
    top: dict[str, Observed] = {}
    # Outer values come before those in them.
    for path in sorted(by_path, key=len):
        if path.endswith("[]") and path[:-2] in by_path:
            by_path[path[:-2]].items = by_path[path]
            continue
        outer = _outer(path, by_path)
        values = top if outer is None else by_path[outer].properties
        values[path if outer is None else path[len(outer) + 1 :]] = by_path[path]
    return top


def _outer(path: str, by_path: Mapping[str, Observed]) -> str | None:
    # The name of an attribute may contain a dot.
    end = path.rfind(".")
    while end > 0:
        outer = path[:end]
        if outer in by_path and ValueType.OBJECT in by_path[outer].counts:
            return outer
        end = path.rfind(".", 0, end)
    return None
