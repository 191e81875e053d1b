"""Violations are counted in bounded memory, without addresses, and kept until they are written."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy.exc import OperationalError

from trackrelay.worker.quality import plan_counts
from trackrelay.worker.quality.plan_counts import PlanCounts, Point
from trackrelay.worker.storage.plan_violations import NO_ROOM, ViolationCount


class Store:
    """Keeps what is written, once it works."""

    def __init__(self) -> None:
        self.works = True
        self.written: list[ViolationCount] = []

    def __call__(self, counts: Sequence[ViolationCount]) -> None:
        if not self.works:
            raise OperationalError("", {}, Exception())
        self.written += counts


def add(counts: PlanCounts, subject: str, path: str = "", job: str | None = None) -> None:
    counts.add(Point.of(1, "shop", subject, path, "type"), "number", "string", job)


@pytest.fixture
def store() -> Store:
    return Store()


def test_the_same_is_counted_together_with_the_latest_jobs(store: Store) -> None:
    counts = PlanCounts(store)
    for number in range(5):
        add(counts, "bought", f"items[{number}].price", f"job {number}")
    counts.flush()
    counts.flush()
    (written,) = store.written
    assert (written.path, written.count) == ("items[].price", 5)
    assert written.jobs == ("job 4", "job 3", "job 2")


def test_what_is_not_written_is_kept_and_added_to(store: Store) -> None:
    counts = PlanCounts(store)
    store.works = False
    add(counts, "bought", job="first")
    counts.flush()
    add(counts, "bought", job="second")
    store.works = True
    counts.flush()
    (written,) = store.written
    assert (written.count, written.jobs) == (2, ("second", "first"))


def test_invented_names_are_counted_together(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_counts, "MAX_COUNTS", 10)
    counts = PlanCounts(store)
    for number in range(100):
        add(counts, f"event_{number}")
    counts.flush()
    assert len(store.written) == 11
    (rest,) = (each for each in store.written if each.kind == NO_ROOM)
    assert rest.count == 90


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("ada@example.com bought 4111111111111111", "… bought …"),
        ("user:ada@example.com", "…"),
        ("order_completed", "order_completed"),
        ("address1\0", "address1\ufffd"),
        ("x" * 500, "x" * 100),
    ],
)
def test_names_are_counted_without_addresses_and_numbers(
    store: Store, name: str, counted: str
) -> None:
    counts = PlanCounts(store)
    add(counts, name)
    counts.flush()
    assert store.written[0].subject == counted
