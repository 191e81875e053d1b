"""Which partitions of the ledger are missing."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trackrelay.worker.storage.ledger_rotation import _missing


def test_the_days_after_the_last_partition_are_covered_in_whole_spans() -> None:
    assert list(_missing([(0, 4)], 2, 12, 3)) == [(5, 7), (8, 10), (11, 13)]


def test_days_between_two_partitions_are_covered_and_overlap_none() -> None:
    assert list(_missing([(0, 4), (10, 60)], 2, 12, 3)) == [(5, 7), (8, 9)]


@given(
    bounds=st.lists(st.integers(0, 60), unique=True, max_size=12).map(sorted),
    day=st.integers(0, 60),
    span=st.integers(1, 20),
)
def test_afterwards_each_day_is_in_exactly_one_partition(
    bounds: list[int], day: int, span: int
) -> None:
    covered = list(zip(bounds[::2], bounds[1::2], strict=False))
    made = list(_missing(covered, day, day + 10, span))
    for each in range(day, day + 11):
        assert sum(first <= each <= last for first, last in [*covered, *made]) == 1
    assert all(first <= last < first + span for first, last in made)
    everything = sorted([*covered, *made])
    assert all(a[1] < b[0] for a, b in pairwise(everything))
    assert list(_missing(everything, day, day + 10, span)) == []
