"""The demo's own judge: it must see what is wrong, or its verdict is worth nothing."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackrelay.worker.devstack.demo.demo_verdict import Expected, Verdict, judge


def job(number: int, *keys: str, lane: str = "live", says: str = "") -> Expected:
    return Expected(f"job-{number}", (says or str(number),), keys or ("id:1",), lane)


JOBS = [job(1), job(2), job(3, "id:2"), job(4, "id:1", "id:2"), job(5, "id:2"), job(6, lane="bulk")]
ALL = [each.fingerprint for each in JOBS]


def arrived(*numbers: int) -> Verdict:
    return judge(JOBS, [(str(number),) for number in numbers])


def test_everything_once_and_in_order_is_good() -> None:
    assert arrived(1, 2, 3, 4, 5, 6).is_good
    assert arrived(1, 2, 3, 4, 5, 6).delivered == 6


def test_other_keys_and_other_lanes_may_come_in_any_order() -> None:
    assert arrived(6, 3, 1, 2, 4, 5).is_good


def test_what_did_not_arrive_is_lost() -> None:
    assert arrived(1, 2, 4, 5, 6).lost == ["job-3"]


def test_what_arrived_again_is_a_duplicate() -> None:
    verdict = arrived(1, 2, 1, 3, 4, 5, 6)
    assert verdict.duplicates == [("1",)]
    assert verdict.delivered == 6
    assert not verdict.is_good


def test_what_was_overtaken_is_out_of_order() -> None:
    assert arrived(2, 1, 3, 4, 5, 6).out_of_order == ["job-1"]
    assert arrived(1, 2, 3, 5, 4, 6).out_of_order == ["job-4"]
    assert arrived(1, 4, 2, 3, 5, 6).out_of_order == ["job-2", "job-3"]


def test_an_arrival_without_a_call_is_a_stranger() -> None:
    assert arrived(1, 2, 3, 4, 5, 6, 7).unexpected == [("7",)]


def test_two_jobs_that_say_the_same_are_two() -> None:
    twice = [job(1, says="same"), job(2, says="same")]
    assert judge(twice, [("same",)] * 2).is_good
    assert judge(twice, [("same",)]).lost == ["job-2"]
    assert judge(twice, [("same",)] * 3).duplicates == [("same",)]


def _swapped(arrivals: list[tuple[str, ...]], at: int) -> list[tuple[str, ...]]:
    return [*arrivals[:at], arrivals[at + 1], arrivals[at], *arrivals[at + 2 :]]


BREAKS: list[Callable[[list[tuple[str, ...]], int], list[tuple[str, ...]]]] = [
    lambda arrivals, at: arrivals[:at] + arrivals[at + 1 :],
    lambda arrivals, at: [*arrivals, arrivals[at]],
    _swapped,
]


@pytest.mark.parametrize("break_it", BREAKS, ids=["lost", "twice", "swapped"])
@given(seed=st.integers(0, 10_000), count=st.integers(2, 60))
def test_any_single_mistake_is_seen(
    break_it: Callable[[list[tuple[str, ...]], int], list[tuple[str, ...]]], seed: int, count: int
) -> None:
    chance = random.Random(seed)
    jobs = [job(number, "id:1") for number in range(count)]
    arrivals = [each.fingerprint for each in jobs]
    assert judge(jobs, arrivals).is_good
    assert not judge(jobs, break_it(arrivals, chance.randrange(count - 1))).is_good
