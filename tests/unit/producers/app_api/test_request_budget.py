"""The budget of one process, with a clock that the test sets."""

from __future__ import annotations

import random

import pytest

from trackrelay.app_api.request_budget import LIMIT, WINDOW_S, FleetBudget, LocalBudget, budget_key


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("most", [LIMIT, 2, 1])
def test_no_window_has_more_than_its_share(most: int) -> None:
    clock, random_ = Clock(), random.Random(7)
    budget = LocalBudget(clock)
    granted: list[float] = []
    while len(granted) < 200:
        wait_s = budget.take(most)
        if wait_s == 0:
            granted.append(clock.now)
            clock.now += random_.choice([0, 0, 0.01, 0.3])
        else:
            assert wait_s <= WINDOW_S + 1e-6
            clock.now += wait_s
    for start in granted:
        assert sum(start <= each < start + WINDOW_S - 1e-6 for each in granted) <= most
    # No request waits longer than necessary.
    assert granted[-1] - granted[0] < 200 / most * WINDOW_S + 200


def test_a_reader_in_the_background_leaves_room_for_others() -> None:
    clock = Clock()
    budget = LocalBudget(clock)
    assert [budget.take(2) for _ in range(2)] == [0, 0]
    assert budget.take(2) > 0
    assert [budget.take(LIMIT) for _ in range(8)] == [0] * 8
    assert budget.take(LIMIT) == pytest.approx(WINDOW_S)
    clock.now += WINDOW_S
    assert [budget.take(LIMIT) for _ in range(3)] == [0] * 3
    assert budget.take(2) > 0


def test_a_pause_stops_all_and_a_shorter_one_does_not_end_it() -> None:
    clock = Clock()
    budget = LocalBudget(clock)
    budget.pause(5)
    budget.pause(1)
    assert budget.take(LIMIT) == 5
    clock.now += 5
    assert budget.take(LIMIT) == 0


def test_without_redis_the_process_keeps_the_limit_and_asks_redis_rarely() -> None:
    clock = Clock()
    budget = FleetBudget("redis://127.0.0.1:1/0", "trackrelay:app-api:x", LocalBudget(clock), clock)
    assert [budget.take(LIMIT) for _ in range(LIMIT)] == [0] * LIMIT
    assert budget.take(LIMIT) > 0
    budget.pause(9)
    assert budget.take(LIMIT) == 9
    assert budget._ask_again_at > clock.now


def test_the_key_of_the_budget_hides_the_key_of_the_api() -> None:
    key = budget_key("secret")
    assert key.startswith("trackrelay:app-api:")
    assert "secret" not in key
    assert key == budget_key("secret") != budget_key("another")
