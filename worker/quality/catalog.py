"""The catalog as values: what was observed of each event and attribute. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from trackrelay.worker.storage.catalog_rows import NO_ROOM
from trackrelay.worker.storage.queries.catalog_query import CatalogRow

from .catalog_observer import OBSERVED, OVERFLOW, SEEN, Subject
from .lateness import is_lateness


@dataclass(frozen=True, slots=True)
class TypeCount:
    """How often an attribute had a type, and when.

    Attributes:
        type: a `shapes.ValueType`.
        count: the number of observed jobs.
        first_at: how many jobs of the subject had been observed when it first appeared.
        last_at: how many had been observed when it was last seen.
        first_seen: unix seconds.
        last_seen: unix seconds.
    """

    type: str
    count: int
    first_at: int
    last_at: int
    first_seen: float
    last_seen: float


@dataclass(slots=True)
class Attribute:
    """What was observed of one attribute of a subject."""

    path: str
    types: list[TypeCount] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many observed jobs had it. A list item of two types counts twice."""
        return sum(each.count for each in self.types)

    @property
    def first_at(self) -> int:
        """How many jobs of the subject had been observed when it first appeared."""
        return min(each.first_at for each in self.types)

    @property
    def last_at(self) -> int:
        """How many jobs of the subject had been observed when it was last seen."""
        return max(each.last_at for each in self.types)

    @property
    def first_seen(self) -> float:
        """When it first appeared, in unix seconds."""
        return min(each.first_seen for each in self.types)

    @property
    def last_seen(self) -> float:
        """When it was last seen, in unix seconds."""
        return max(each.last_seen for each in self.types)


@dataclass(slots=True)
class SubjectStats:
    """What was observed of events of one name from one source, or of another operation."""

    subject: Subject
    #: Observed jobs, and their bytes.
    jobs: int = 0
    bytes: int = 0
    first_seen: float = 0.0
    last_seen: float = 0.0
    attributes: dict[str, Attribute] = field(default_factory=dict)
    #: By class of lateness: the number of events with a timestamp.
    lateness: dict[str, int] = field(default_factory=dict)

    def presence(self, attribute: Attribute) -> float:
        """Return the share of jobs that have an attribute."""
        return min(1.0, attribute.count / self.jobs) if self.jobs else 0.0


@dataclass(slots=True)
class Catalog:
    """Everything that was observed."""

    subjects: dict[Subject, SubjectStats] = field(default_factory=dict)
    #: By source and operation: all delivered jobs, the ones that were not observed included.
    seen: dict[tuple[str, str], int] = field(default_factory=dict)
    #: By source: shapes or rows for which there was no room.
    overflow: dict[str, int] = field(default_factory=dict)

    def named(self, name: str) -> Iterator[SubjectStats]:
        """Yield the subjects of an event's name, or of an operation such as person.identify."""
        for subject, stats in self.subjects.items():
            if name in (subject.name or subject.operation, f"{subject.operation} {subject.name}"):
                yield stats


def catalog_of(rows: Iterable[CatalogRow]) -> Catalog:
    """Return the catalog that rows of the table describe."""
    catalog = Catalog()
    for row in rows:
        if row.type == SEEN:
            catalog.seen[row.source, row.operation] = row.count
        elif row.type in (OVERFLOW, NO_ROOM) and not row.path:
            catalog.overflow[row.source] = catalog.overflow.get(row.source, 0) + row.count
        else:
            subject = Subject(row.source, row.operation, row.name)
            stats = catalog.subjects.setdefault(subject, SubjectStats(subject))
            _add(stats, row)
    return catalog


def _add(stats: SubjectStats, row: CatalogRow) -> None:
    if row.path:
        attribute = stats.attributes.setdefault(row.path, Attribute(row.path))
        attribute.types.append(
            TypeCount(row.type, row.count, row.first_at, row.last_at, row.first_seen, row.last_seen)
        )
    elif is_lateness(row.type):
        stats.lateness[row.type] = row.count
    elif row.type == OBSERVED:
        stats.jobs, stats.bytes = row.count, row.bytes
        stats.first_seen, stats.last_seen = row.first_seen, row.last_seen
