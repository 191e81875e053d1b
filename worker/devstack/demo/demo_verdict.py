"""Whether everything arrived exactly once, and in order for each key. Pure: it knows only what was said and what arrived."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .fingerprints import Fingerprint


@dataclass(frozen=True, slots=True)
class Expected:
    """A job that must arrive."""

    id: str
    fingerprint: Fingerprint
    keys: tuple[str, ...]
    #: What it is in order within: jobs of a key in different lanes may overtake each other.
    lane: str


@dataclass(slots=True)
class Verdict:
    """What the comparison found: lists of what is wrong, each empty if all is well."""

    #: How many jobs arrived, once or more often.
    delivered: int = 0
    #: Ids of jobs that did not arrive.
    lost: list[str] = field(default_factory=list)
    #: What arrived more often than it was said.
    duplicates: list[Fingerprint] = field(default_factory=list)
    #: What arrived and nobody had said.
    strangers: list[Fingerprint] = field(default_factory=list)
    #: Ids of jobs that were overtaken by a later one of the same key.
    out_of_order: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether everything arrived exactly once and in order, and nothing else did."""
        return not (self.lost or self.duplicates or self.strangers or self.out_of_order)


def judge(expected: Sequence[Expected], arrivals: Iterable[Fingerprint]) -> Verdict:
    """Compare.

    Args:
        expected: in the order in which each lane must keep, for each key.
        arrivals: in the order of arrival.
    """
    verdict = Verdict()
    waiting: dict[Fingerprint, deque[int]] = defaultdict(deque)
    for index, job in enumerate(expected):
        waiting[job.fingerprint].append(index)
    latest: dict[tuple[str, str], int] = {}
    for fingerprint in arrivals:
        jobs = waiting.get(fingerprint)
        if not jobs:
            # Known, but all of its jobs have arrived already: once too often.
            (verdict.strangers if jobs is None else verdict.duplicates).append(fingerprint)
            continue
        index = jobs.popleft()
        verdict.delivered += 1
        _check_order(verdict, expected[index], index, latest)
    verdict.lost = [expected[index].id for left in waiting.values() for index in left]
    return verdict


def _check_order(
    verdict: Verdict, job: Expected, index: int, latest: dict[tuple[str, str], int]
) -> None:
    places = [(key, job.lane) for key in job.keys]
    if any(latest.get(place, -1) > index for place in places):
        verdict.out_of_order.append(job.id)
    for place in places:
        latest[place] = max(latest.get(place, -1), index)
