"""In which partition of the ledger a job is recorded, and where it is looked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackrelay.operations.ids import first_id_of, id_for, milliseconds_of, new_id
from trackrelay.worker.storage.ledger_periods import (
    BEFORE,
    FRESH_DAYS,
    KEPT,
    Periods,
    day_at,
    searched,
)

DAY_MS = 86_400_000
TODAY = 20_800


def id_of(day: float) -> str:
    return first_id_of(int(day * DAY_MS))


def periods(**changes: object) -> Periods:
    values: dict[str, object] = {
        "days": tuple((day, day) for day in range(TODAY - 20, TODAY + 8)),
        "untimed": ((TODAY - 8, TODAY - 1), (TODAY, TODAY + 7)),
        "today": TODAY,
    }
    return Periods(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("day", "period"),
    [
        (TODAY, TODAY),
        (TODAY + 0.999, TODAY),
        (TODAY + 1, TODAY + 1),
        (TODAY - FRESH_DAYS, TODAY - FRESH_DAYS),
        (TODAY - FRESH_DAYS - 0.001, -TODAY),
        (TODAY + 2, -TODAY),
        (0, -TODAY),
    ],
)
def test_an_id_of_about_now_has_its_own_day_and_another_the_day_of_its_record(
    day: float, period: int
) -> None:
    assert periods().of([id_of(day)]) == [period]


def test_where_there_is_no_partition_another_takes_the_row() -> None:
    ids = [id_of(TODAY), id_for("person.event", "id:1", "paid", "1")]
    assert periods(days=()).of(ids) == [-TODAY, -TODAY]
    assert periods(days=(), untimed=((TODAY - 30, TODAY - 23),)).of(ids) == [-(TODAY - 23)] * 2
    assert periods(days=(), untimed=()).of(ids) == [KEPT, KEPT]
    assert periods(is_partitioned=False).of(ids) == [BEFORE, BEFORE]
    assert periods(is_closing=True).of(ids) == [BEFORE, BEFORE]


def test_only_rows_that_another_partition_may_have_are_looked_up() -> None:
    assert not periods().may_be_elsewhere(TODAY)
    assert periods().may_be_elsewhere(-TODAY)
    assert periods(has_before=True).may_be_elsewhere(TODAY)
    assert not periods(is_partitioned=False).may_be_elsewhere(BEFORE)


@given(
    days=st.lists(st.integers(0, 200_000), min_size=1, max_size=20),
    recorded=st.integers(TODAY - 5, TODAY + 5),
)
def test_an_id_is_always_searched_for_where_it_was_recorded(days: list[int], recorded: int) -> None:
    _recorded_where_searched(days, recorded)


@pytest.mark.parametrize("today", [0, 12, 18_262, 20_000, 20_088, 20_089, 21_000, 200_000])
def test_that_holds_for_any_clock_also_one_that_is_years_behind(today: int) -> None:
    _recorded_where_searched([*range(max(0, today - 5), today + 5), TODAY], today)


def _recorded_where_searched(days: list[int], recorded: int) -> None:
    ids = [id_of(day) for day in days]
    around = tuple((day, day) for day in range(max(1, recorded - 20), recorded + 8))
    for id in ids:
        # Alone, and among others.
        for where in (searched([id]), searched(ids)):
            (period,) = periods(days=around, today=recorded).of([id])
            assert period <= KEPT or where["first_period"] <= period <= where["last_period"]


def test_ids_of_idempotency_keys_alone_are_searched_for_in_no_day() -> None:
    assert searched([id_for("person.event", "id:1", "paid", "1")]) == {
        "first_period": 1,
        "last_period": 0,
    }


def test_what_is_no_ulid_is_searched_for_everywhere() -> None:
    for other in ("young", "ZZ"):
        where = searched([new_id(), other])
        assert where["first_period"] <= 1
        assert where["last_period"] > 10**9


def test_the_time_of_an_id_is_the_one_it_was_made_with() -> None:
    assert milliseconds_of(first_id_of(1_700_000_000_123)) == 1_700_000_000_123
    assert day_at(milliseconds_of(new_id()) / 1000) > 20_000
