"""The observer counts within a bound of time and memory."""

from typing import Any

import msgspec
import pytest

from trackrelay.worker.quality import catalog_observer
from trackrelay.worker.quality.catalog_observer import (
    MAX_JOBS_PER_S,
    MAX_SHAPES,
    CatalogObserver,
    Observation,
)
from trackrelay.worker.storage.stored_job import Job


class Store:
    """Keeps what the observer writes."""

    def __init__(self) -> None:
        self.written: list[Observation] = []

    def __call__(self, observations: Any) -> None:
        self.written += observations

    def count(self, of_type: str, path: str = "") -> int:
        return sum(each.jobs for each in self.written if (each.type, each.path) == (of_type, path))


def job(name: str = "viewed", source: str = "shop", **attributes: Any) -> Job:
    body = msgspec.json.encode({"name": name, "timestamp": 1_700_000_000, "attributes": attributes})
    return Job(
        id="0" * 26,
        operation="person.event",
        keys=("id:42",),
        shards=(0,),
        body=body,
        lane="live",
        enqueued_at=0,
        age_from=0,
        source=source,
    )


@pytest.fixture
def store() -> Store:
    return Store()


def test_all_jobs_are_seen_and_no_more_than_the_budget_is_observed(store: Store) -> None:
    observer = CatalogObserver(store, clock=lambda: 0.0)
    for _ in range(10):
        observer.note([job(a=1)] * 1_000, 1_700_000_003)
    observer.flush()
    assert store.count("seen") == 10_000
    assert store.count("job") == store.count("integer", "a") <= MAX_JOBS_PER_S
    assert store.count("late 5") == store.count("job")


def test_the_budget_grows_with_time(store: Store) -> None:
    times = iter(range(0, 1_000, 10))
    observer = CatalogObserver(store, clock=lambda: float(next(times)))
    for _ in range(10):
        observer.note([job(a=1)] * 1_000, 0)
    observer.flush()
    assert store.count("job") == 10_000


def test_invented_names_are_counted_and_do_not_fill_memory(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_observer, "MAX_JOBS_PER_S", 1e9)
    observer = CatalogObserver(store, clock=lambda: 0.0)
    observer.note([job(name=f"event_{number}") for number in range(MAX_SHAPES + 500)], 0)
    observer.flush()
    assert store.count("job") == MAX_SHAPES
    assert store.count("not observed") == 500


def test_invented_sources_become_one(store: Store) -> None:
    observer = CatalogObserver(store, clock=lambda: 0.0)
    observer.note([job(source=f"source-{number}") for number in range(500)], 0)
    observer.flush()
    assert len({each.subject.source for each in store.written}) == 101


@pytest.mark.parametrize("body", [b"[1]", b"{", b'"x"', b'{"attributes": 7}', b"\xff", b"[" * 5000])
def test_a_body_that_is_no_document_harms_nothing(store: Store, body: bytes) -> None:
    observer = CatalogObserver(store, clock=lambda: 0.0)
    observer.note([job().with_(body=body), job(a=1)], 0)
    observer.flush()
    assert store.count("integer", "a") == 1


def test_texts_are_such_as_postgres_takes(store: Store) -> None:
    observer = CatalogObserver(store, clock=lambda: 0.0)
    observer.note([job(**{"a\0": 1}), job(**{"a\ufffd": 1})], 0)
    observer.flush()
    assert store.count("integer", "a\ufffd") == 2
