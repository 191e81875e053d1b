"""Whether what arrived for one key arrived in the order of the calls. Pure.

A worker that dies between an answer and its commit leaves the whole request to its successor, which
sends it again in the same order. Neither events nor identifies have a second effect: events are
recognised by their id, and an identify carries the time of its enqueueing. That is a restart:
arrivals go back to an earlier job, and from there step by step over everything again. What must
never happen:

- a job arrives before an earlier one of its key: a step forward of more than one;
- a job arrives again after a delete, merge or suppression behind it: everything before such a
  barrier is settled before it is sent, and the barrier is settled before the next job is sent. A
  repeat here would bring a deleted person back to life;
- after a restart, something new arrives before the repeats have caught up: the last value would be
  an old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Step:
    """A job that must arrive: its mark, and whether it is a barrier."""

    mark: str
    barrier: bool = False


@dataclass(slots=True)
class Walk:
    """What came of following the arrivals of one key."""

    #: Arrivals that broke the order, in words.
    faults: list[str] = field(default_factory=list)
    #: Jobs that never arrived.
    missing: list[str] = field(default_factory=list)
    #: How often arrivals began again at an earlier job.
    restarts: int = 0


def follow(expected: Sequence[Step], arrivals: Sequence[str]) -> Walk:
    """Follow ``arrivals`` (marks, with repeats) along ``expected``.

    Marks that are not expected are skipped.
    """
    walk = Walk()
    places: dict[str, list[int]] = {}
    for index, step in enumerate(expected):
        places.setdefault(step.mark, []).append(index)
    seen = [False] * len(expected)
    at = -1
    farthest = -1
    for mark in arrivals:
        here = places.get(mark)
        if here is None:
            continue
        to = _nearest(here, at)
        if to > at + 1:
            walk.faults.append(f"{mark} arrived before {expected[at + 1].mark}")
        elif to <= at:
            walk.restarts += 1
            if barrier := _passed_barrier(expected, to, farthest):
                walk.faults.append(f"{mark} arrived again after {barrier} had been settled")
        seen[to] = True
        at, farthest = to, max(farthest, to)
    if at < farthest:
        walk.faults.append(
            f"{expected[at].mark} arrived last, though {expected[farthest].mark} came after it"
        )
    walk.missing = [step.mark for step, there in zip(expected, seen, strict=True) if not there]
    return walk


def _nearest(here: Sequence[int], at: int) -> int:
    # The next one if it can be that, else the last one behind, else the first one ahead.
    if at + 1 in here:
        return at + 1
    behind = [index for index in here if index <= at]
    return behind[-1] if behind else here[0]


def _passed_barrier(expected: Sequence[Step], to: int, farthest: int) -> str | None:
    for index in range(to, farthest + 1):
        if expected[index].barrier and (index > to or farthest > to):
            return expected[index].mark
    return None
