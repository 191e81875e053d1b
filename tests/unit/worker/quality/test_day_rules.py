"""Stopped events and rarer attributes are distinguished from nights and weekends."""

import random

import pytest

from trackrelay.worker.quality.catalog import Attribute, Catalog, SubjectStats
from trackrelay.worker.quality.catalog_observer import Subject
from trackrelay.worker.quality.day_rules import day_findings

DAY, HOUR = 86_400.0, 3_600.0
#: Noon of a day.
NOW = 20_000.5 * DAY


def event(
    name: str = "order_completed",
    source: str = "shop",
    *,
    began: float = 30 * DAY,
    silent: float = 0.0,
    gap: float = 10 * HOUR,
    paths: tuple[str, ...] = ("total", "currency"),
) -> SubjectStats:
    """An event that began and was last seen so many seconds ago."""
    subject = Subject(source, "person.event", name)
    stats = SubjectStats(subject, jobs=1_000, longest_gap_s=gap)
    stats.first_seen, stats.last_seen = NOW - began, NOW - silent
    stats.attributes = {path: Attribute(path) for path in paths}
    return stats


def keys(*found: SubjectStats) -> list[str]:
    others = event("viewed", paths=("page",))
    catalog = Catalog({each.subject: each for each in (others, *found)})
    return [each.key for each in day_findings(catalog, NOW)]


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        (event(silent=31 * HOUR), ["Q306 order_completed from shop"]),
        (event("app_opened", silent=31 * HOUR), ["Q307 app_opened from shop"]),
        # Not longer than its pauses explain.
        (event(silent=29 * HOUR), []),
        # A weekend without events is as long as its longest pause.
        (event(silent=62 * HOUR, gap=62 * HOUR), []),
        (event(silent=HOUR / 2, gap=60), []),
        # It is not known what its weekends are like.
        (event(began=8 * DAY, silent=2 * DAY), []),
        # It ended long ago.
        (event(began=60 * DAY, silent=31 * DAY), []),
    ],
)
def test_an_event_has_stopped_if_it_is_silent_for_three_of_its_pauses(
    stats: SubjectStats, expected: list[str]
) -> None:
    assert keys(stats) == expected


def test_while_nothing_is_delivered_no_event_has_stopped() -> None:
    silent = [event(name, silent=3 * DAY) for name in ("order_completed", "viewed")]
    catalog = Catalog({each.subject: each for each in silent})
    assert list(day_findings(catalog, NOW)) == []


def test_an_event_that_another_application_took_over_has_not_stopped() -> None:
    old, new = event(silent=3 * DAY), event(source="new-shop", began=3 * DAY + HOUR)
    assert keys(old, new) == []
    assert keys(old, event(source="web")) == ["Q306 order_completed from shop"]


def test_an_event_that_continues_under_another_name_is_reported() -> None:
    old, new = event(silent=3 * DAY), event("order_done", began=3 * DAY - HOUR)
    catalog = Catalog({each.subject: each for each in (old, new)})
    (found,) = day_findings(catalog, NOW)
    assert found.evidence == (
        "1,000 were observed, and none for 3 days; the longest pause before was 10 hours",
        "since then the application sends order_done, with the same attributes",
    )


def shares(before: float, after: float, *, days: int = 14, change: int = 8) -> SubjectStats:
    """An event with an attribute whose share changes on a day; today is half over."""
    chance = random.Random(1)
    stats = event()
    for number in range(days):
        jobs = chance.randrange(150, 250) // (2 if number == days - 1 else 1)
        day = int(NOW // DAY) - days + 1 + number
        stats.days[day] = jobs
        having = sum(chance.random() < (before if number < change else after) for _ in range(jobs))
        stats.attributes["total"].days[day] = having
    return stats


@pytest.mark.parametrize(
    ("before", "after", "is_found"),
    [
        (1.0, 0.67, True),
        (1.0, 0.95, False),
        (0.41, 0.05, True),
        (0.41, 0.30, False),
        (0.2, 0.2, False),
        (0.05, 0.41, False),
        # It has vanished: that is another rule's.
        (1.0, 0.0, False),
    ],
)
def test_an_attribute_became_rarer(before: float, after: float, is_found: bool) -> None:
    found = keys(shares(before, after))
    assert found == (["Q305 order_completed.total from shop"] if is_found else [])


def test_a_new_kind_of_call_without_the_attribute_makes_nothing_rarer() -> None:
    stats = shares(1.0, 1.0)
    stats.subject = Subject("shop", "person.identify", "")
    for day in sorted(stats.days)[8:]:
        stats.days[day] *= 4
    assert keys(stats) == []


def test_the_day_of_the_change_is_named() -> None:
    catalog = Catalog({(each := shares(1.0, 0.5)).subject: each})
    (found,) = day_findings(catalog, NOW)
    assert "it was in 100% of the jobs" in found.evidence[0]
    assert found.since == (int(NOW // DAY) - 5) * DAY
