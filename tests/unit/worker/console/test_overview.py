"""The numbers of the first page: what a store does not tell is not known, and never green."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.worker.cli.status import snapshots
from trackrelay.worker.cli.status.snapshot import BreakerStatus, Snapshot
from trackrelay.worker.cli.status.status_hints import hints
from trackrelay.worker.cli.status.status_rows import breakers, waits
from trackrelay.worker.console.pages.overview_page import _advice, tiles
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.storage.queries.backlog_overview import Overview, Waits

LETTERS = ("/dead-letters",)


def well() -> Snapshot:
    return Snapshot(
        settings=snapshots.settings(),
        now=snapshots.NOW,
        redis=snapshots.redis_side(),
        postgres=Overview(shards=1),
    )


def values(snapshot: Snapshot) -> dict[str, int | None]:
    return {tile.label: tile.value for tile in tiles(snapshot)}


def test_when_all_is_well_every_number_is_known_and_quiet() -> None:
    assert set(values(well()).values()) == {0}
    assert {tile.tone for tile in tiles(well())} == {""}


def test_without_a_store_its_numbers_are_not_known() -> None:
    assert values(replace(well(), redis=None)) == {
        "Delivered": None,
        "Waiting": None,
        "Dead letters": 0,
        "Refused calls": None,
        "Calls only logged": None,
        "Lost jobs": 0,
        "Findings": 0,
    }
    without_postgres = values(replace(well(), postgres=None))
    assert [name for name, value in without_postgres.items() if value is None] == [
        "Waiting",
        "Dead letters",
        "Lost jobs",
        "Findings",
    ]


def test_a_breaker_that_has_let_nothing_pass_is_not_green() -> None:
    never = BreakerStatus(family=Family.FORMS)
    worked = BreakerStatus(family=Family.V2, last_success=snapshots.NOW - 5)
    opened = BreakerStatus(
        "open", "outage", "503", snapshots.NOW + 7, snapshots.NOW, family=Family.SEGMENTS
    )
    redis = snapshots.redis_side(breakers=[never, worked, opened])
    rows = breakers(replace(well(), redis=redis))
    assert [(row.state, row.tone) for row in rows] == [
        ("closed", "dim"),
        ("closed", "good"),
        ("open", "warn"),
    ]
    assert rows[2].remark == "requests fail; 503; the next attempt is in 7 s"
    halted = replace(redis, shared_breaker=BreakerStatus("halted", "credentials", "401"))
    rows = breakers(replace(well(), redis=halted))
    assert (rows[0].delivers, rows[0].tone) == ("everything", "bad")
    assert {row.tone for row in rows[1:3]} == {"dim"}
    assert breakers(replace(well(), redis=None)) == []


@pytest.mark.parametrize(
    ("paused", "act"),
    [
        ({0: snapshots.NOW - 9}, ("/delivery/resume", "Resume", {"shards": ""})),
        ({}, None),
    ],
)
def test_what_can_be_done_here_is_a_button(paused: dict[int, float], act: object) -> None:
    snapshot = replace(well(), postgres=Overview(shards=1, paused=paused))
    assert next((_advice(hint, LETTERS).act for hint in hints(snapshot)), None) == act


def test_the_backlog_is_shown_by_reason_over_all_shards() -> None:
    backlog = [
        Waits(0, "live", "breaker", 3, 1, 0, snapshots.NOW - 5, snapshots.NOW),
        Waits(1, "bulk", "breaker", 4, 2, 0, snapshots.NOW - 9, snapshots.NOW),
        Waits(1, "live", "failed", 9, 0, 0, snapshots.NOW - 1, snapshots.NOW),
    ]
    snapshot = replace(well(), postgres=Overview(shards=2, backlog=backlog))
    assert [(row.reason, row.jobs, row.due, row.oldest) for row in waits(snapshot)] == [
        ("failed", 9, 0, snapshots.NOW - 1),
        ("breaker", 7, 3, snapshots.NOW - 9),
    ]
