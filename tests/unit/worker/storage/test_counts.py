"""Counts of a settlement, before they are written."""

import pytest

from trackrelay.worker.storage.counts import (
    LATENCY_BOUNDS,
    REQUEST_BOUNDS,
    STATUS_CLASSES,
    Counts,
    Name,
    Tally,
    quantile,
    status_class,
)


def test_a_bucket_holds_the_durations_up_to_its_bound() -> None:
    counts = Counts()
    counts.observe(Name.REQUESTS, "v2", "2xx", seconds=[0.05, 0.051, 30, 31])
    counts.observe(Name.REQUESTS, "v2", "2xx", seconds=[-1.0])  # a clock that went back
    ((name, labels, tally),) = counts
    assert (name, labels, tally.value) == ("requests", ("v2", "2xx"), 5)
    assert list(tally.buckets) == [2, 1, 0, 0, 0, 0, 0, 0, 1, 1]
    assert tally.sum_s == pytest.approx(61.101)


def test_counts_are_written_in_one_order_and_none_of_nothing() -> None:
    one, other = Counts(), Counts()
    for counts, reasons in ((one, "ab"), (other, "ba")):
        for reason in reasons:
            counts.add(Name.DIED, reason)
        counts.add(Name.DELIVERED, "v2", number=0)
    assert [each[:2] for each in one] == [each[:2] for each in other]
    assert [each[:2] for each in one] == [("died", ("a",)), ("died", ("b",))]
    assert not Counts()


def test_a_copy_leaves_the_original_alone() -> None:
    counts = Counts()
    counts.observe(Name.REQUESTS, "v2", "2xx", seconds=[1])
    copied = counts.copy()
    copied.observe(Name.REQUESTS, "v2", "2xx", seconds=[1])
    copied.add(Name.DIED, "rejected")
    ((_, _, tally),) = counts
    assert (tally.value, sum(tally.buckets)) == (1, 1)


def test_a_quantile_is_interpolated_in_its_bucket() -> None:
    tally = Tally(buckets=[0, 4, *[0] * 7, 0])
    assert quantile(tally, 0.5, REQUEST_BOUNDS) == pytest.approx(0.075)
    assert quantile(tally, 1.0, REQUEST_BOUNDS) == pytest.approx(0.1)
    assert quantile(Tally(buckets=[*[0] * 14, 3]), 0.5, LATENCY_BOUNDS) == 86400
    assert quantile(Tally(), 0.5, LATENCY_BOUNDS) is None


def test_the_classes_of_statuses_are_few() -> None:
    found = {status_class(status) for status in (None, *range(1000))}
    assert found == set(STATUS_CLASSES)
    assert [status_class(each) for each in (None, 204, 429, 503)] == ["none", "2xx", "429", "5xx"]
