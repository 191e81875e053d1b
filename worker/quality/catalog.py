"""The catalog as values: what was observed of each event and attribute. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from trackrelay.worker.storage.catalog_rows import NO_ROOM
from trackrelay.worker.storage.queries.catalog_query import CatalogRow, DayRow

from .catalog_observer import OBSERVED, OVERFLOW, SEEN, Subject
from .identity_notes import is_naming
from .lateness import is_lateness
from .order_notes import is_order_count
from .state_notes import WAITED, attribute_of


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
    #: Jobs with it by day, in days since 1970.
    days: dict[int, int] = field(default_factory=dict)

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
    #: The longest time between two of them, in seconds.
    longest_gap_s: float = 0.0
    #: Jobs by day, in days since 1970.
    days: dict[int, int] = field(default_factory=dict)
    attributes: dict[str, Attribute] = field(default_factory=dict)
    #: By class of lateness: the number of events with a timestamp.
    lateness: dict[str, int] = field(default_factory=dict)
    #: By the way in which the job names the person, such as a form of ids: the number of jobs.
    naming: dict[str, int] = field(default_factory=dict)
    #: Of events with an order: what `order_notes` counts.
    orders: dict[str, int] = field(default_factory=dict)
    #: Events after which changes of the person were waited for, and by attribute those with one.
    waited: TypeCount | None = None
    states: dict[str, TypeCount] = field(default_factory=dict)

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


def catalog_of(rows: Iterable[CatalogRow], days: Iterable[DayRow] = ()) -> Catalog:
    """Return the catalog that rows of the tables describe.

    Args:
        rows: what was observed.
        days: the same by day.
    """
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
    for day in days:
        found = catalog.subjects.get(Subject(day.source, day.operation, day.name))
        counted = found if found is None or not day.path else found.attributes.get(day.path)
        if counted is not None:
            # An attribute of several types has several rows.
            counted.days = _sum(counted.days, day.days) if counted.days else day.days
    return catalog


def _sum(left: dict[int, int], right: dict[int, int]) -> dict[int, int]:
    return {day: left.get(day, 0) + right.get(day, 0) for day in {**left, **right}}


def _add(stats: SubjectStats, row: CatalogRow) -> None:
    counted = TypeCount(
        row.type, row.count, row.first_at, row.last_at, row.first_seen, row.last_seen
    )
    if row.path:
        stats.attributes.setdefault(row.path, Attribute(row.path)).types.append(counted)
    elif is_lateness(row.type):
        stats.lateness[row.type] = row.count
    elif is_naming(row.type):
        stats.naming[row.type] = row.count
    elif is_order_count(row.type):
        stats.orders[row.type] = row.count
    elif row.type == WAITED:
        stats.waited = counted
    elif (changed := attribute_of(row.type)) is not None:
        stats.states[changed] = counted
    elif row.type == OBSERVED:
        stats.jobs, stats.bytes = row.count, row.bytes
        stats.first_seen, stats.last_seen = row.first_seen, row.last_seen
        stats.longest_gap_s = row.longest_gap_s
