"""Which attributes change with an event is learned, and missed when they do not any more."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.catalog_memory import observed
from tests.support.retention_traffic import NOW, Call
from trackrelay.worker.quality import state_notes
from trackrelay.worker.quality.catalog import Catalog
from trackrelay.worker.quality.catalog_observer import CatalogObserver
from trackrelay.worker.quality.order_rules import order_findings
from trackrelay.worker.quality.state_notes import StateNotes


def orders(
    count: int, state_until: int, source: str = "shop", pause_s: float = 60.0
) -> Iterator[Call]:
    """Yield orders of different people, each with the change of the person that belongs to it."""
    chance = random.Random(1)
    for number in range(count):
        at, key = NOW + pause_s * number, f"id:{source}-{number}"
        yield Call(source, "person.event", "order_completed", {"total": 1}, key=key, at=at)
        attributes: dict[str, Any] = {"seen_at": 1}
        # One in ten has no account.
        if number < state_until and chance.random() < 0.9:
            attributes |= {"orders_count": 3}
        yield Call(source, "person.identify", "", attributes, key=key, at=at + 1)


def learned(*streams: Iterator[Call]) -> Catalog:
    calls = sorted((call for stream in streams for call in stream), key=lambda call: call.at)
    return observed(calls, flush_after=100, together=20)


def keys(catalog: Catalog) -> list[str]:
    return [each.key for each in order_findings(catalog)]


def test_a_change_that_stopped_coming_is_found() -> None:
    catalog = learned(orders(800, state_until=500))
    assert keys(catalog) == ["Q308 order_completed without orders_count from shop"]


def test_a_change_that_recurs_is_no_finding() -> None:
    assert keys(learned(orders(800, state_until=800))) == []


def test_an_application_without_the_change_is_found() -> None:
    catalog = learned(orders(300, 300), orders(300, 0, source="kiosk"))
    assert keys(catalog) == ["Q308 order_completed without orders_count from kiosk"]


def test_a_change_that_comes_shortly_before_counts() -> None:
    calls = list(orders(200, 200))
    for event, change in zip(calls[::2], calls[1::2], strict=True):
        event.at, change.at = change.at, event.at
    found = learned(iter(calls))
    (stats,) = [each for each in found.subjects.values() if each.waited]
    assert stats.waited is not None
    assert stats.states["orders_count"].count > 0.8 * stats.waited.count


@pytest.mark.parametrize(("together", "is_learned"), [(500, False), (100, True)])
def test_nothing_is_learned_while_jobs_are_left_out(together: int, is_learned: bool) -> None:
    notes, moment = StateNotes(), [0.0]
    written: list[Any] = []
    observer = CatalogObserver(written.extend, clock=lambda: moment[0], notes=[notes])
    calls = list(orders(500, 500, pause_s=0.1))
    for first in range(0, len(calls), together):
        observer.note([call.job() for call in calls[first : first + together]], calls[first].at)
        moment[0] += 1.0
    moment[0] += 100.0
    observer.note([calls[0].job()], NOW + 10_000)
    observer.flush()
    assert any(each.type == state_notes.WAITED for each in written) is is_learned


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_notes, "MAX_WAITING", 50)
    monkeypatch.setattr(state_notes, "MAX_PEOPLE", 50)
    notes = StateNotes()
    observer = CatalogObserver(lambda _: None, clock=lambda: 0.0, notes=[notes])
    observer.note([call.job() for call in orders(70, 70, pause_s=0.0)], NOW)
    assert len(notes._queue) == 50
    assert len(notes._changes) == 50


def test_a_person_who_is_everybody_is_waited_for_a_few_times() -> None:
    notes = StateNotes()
    observer = CatalogObserver(lambda _: None, clock=lambda: 0.0, notes=[notes])
    observer.note([call.job() for call in orders(1, 1)] * 100, NOW)
    assert len(notes._queue) == state_notes.MAX_EACH
