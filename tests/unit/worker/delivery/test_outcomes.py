"""What follows from a result: counted attempts, suspects, and what is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackrelay.worker.delivery.outcomes import (
    MAX_BACKOFF_S,
    Deferred,
    Delivered,
    Failed,
    Rejected,
    Result,
    blocked_keys,
    full_jitter,
    settlement_of,
    shrink_batch,
)
from trackrelay.worker.storage.settlement import Settlement
from trackrelay.worker.storage.stored_job import Job
from trackrelay.worker.track_api.responses import Refusal

NOW = 1000.0


def job(**changes: object) -> Job:
    return Job(
        id="01",
        operation="person.event",
        keys=("id:42",),
        shards=(0,),
        body=b"{}",
        lane="live",
        enqueued_at=1.0,
        age_from=1.0,
        entry="1-0",
    ).with_(**changes)


def settle(*results: Result) -> Settlement:
    return settlement_of(results, now=NOW, max_attempts=3, fraction=1.0)


def test_delivered_and_rejected_are_final() -> None:
    settlement = settle(
        Delivered(job()), Rejected(job(), Refusal("no", 400, "invalid", "attributes.x"))
    )
    assert settlement.delivered == [job()]
    (dead_letter,) = settlement.dead
    assert (dead_letter.reason, dead_letter.error, dead_letter.field, dead_letter.job.attempts) == (
        "rejected",
        "no",
        "attributes.x",
        1,
    )


def test_a_failed_batch_counts_against_nobody() -> None:
    (waiting,) = settle(Failed(job(), "503", 503, request_size=10, last_success=999.0)).waiting
    assert (waiting.job.attempts, waiting.job.failed_at, waiting.job.max_batch) == (0, NOW, 10)
    assert waiting.not_before == 0


def test_in_an_outage_nothing_in_the_backlog_is_rewritten() -> None:
    failed_before = job(entry=None, failed_at=900.0)
    assert not settle(Failed(failed_before, "503", 503, request_size=1, last_success=800.0))


def test_an_attempt_counts_when_the_job_failed_alone_and_another_succeeded_since() -> None:
    failed_before = job(entry=None, failed_at=900.0, attempts=1)
    (waiting,) = settle(
        Failed(failed_before, "500", 500, request_size=1, last_success=950.0)
    ).waiting
    assert waiting.job.attempts == 2
    assert waiting.not_before == NOW + 4.0
    assert [event["what"] for event in waiting.history] == ["failed"]


def test_a_429_counts_against_nobody_and_rewrites_nothing_in_the_backlog() -> None:
    failed_before = job(entry=None, failed_at=900.0, attempts=2)
    assert not settle(Failed(failed_before, "429", 429, request_size=1, last_success=950.0))
    (waiting,) = settle(Failed(job(), "429", 429, request_size=10, last_success=950.0)).waiting
    assert (waiting.reason, waiting.job) == ("rate_limited", job())


def test_the_last_counted_attempt_ends_as_a_dead_letter() -> None:
    failed_before = job(entry=None, failed_at=900.0, attempts=2)
    (dead_letter,) = settle(
        Failed(failed_before, "500", 500, request_size=1, last_success=950.0)
    ).dead
    assert (dead_letter.reason, dead_letter.status, dead_letter.job.attempts) == (
        "exhausted",
        500,
        3,
    )


def test_what_the_region_endpoint_calls_the_jobs_own_problem_counts_at_once_when_alone() -> None:
    (alone,) = settle(
        Failed(job(), "403", 403, request_size=1, last_success=0.0, blames_request=True)
    ).waiting
    assert alone.job.attempts == 1
    (together,) = settle(
        Failed(job(), "403", 403, request_size=8, last_success=0.0, blames_request=True)
    ).waiting
    assert (together.job.attempts, together.job.max_batch) == (0, 4)


def test_untried_jobs_stay_where_they_are_or_go_to_the_backlog() -> None:
    assert not settle(Deferred(job(entry=None), "breaker"))
    (waiting,) = settle(Deferred(job(), "breaker")).waiting
    assert (waiting.reason, waiting.job.attempts) == ("breaker", 0)


@pytest.mark.parametrize(
    ("failed_at", "last_success", "max_batch"),
    [(0.0, 999.0, 100), (900.0, 899.0, 100), (900.0, 901.0, 50)],
)
def test_a_suspects_next_batch_is_half_as_large_only_if_others_succeeded_since(
    failed_at: float, last_success: float, max_batch: int
) -> None:
    assert (
        shrink_batch(job(failed_at=failed_at, max_batch=100), last_success).max_batch == max_batch
    )


def test_failed_and_untried_jobs_block_their_keys() -> None:
    results: list[Result] = [
        Delivered(job(keys=("a",))),
        Rejected(job(keys=("b",)), Refusal("no", 400)),
        Failed(job(keys=("c", "d")), "x", None, 1, 0.0),
        Deferred(job(keys=("e",)), "breaker"),
    ]
    assert blocked_keys(results) == {"c", "d", "e"}


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_backoff_grows_to_a_cap_and_is_fully_jittered(attempt: int, fraction: float) -> None:
    assert 0 <= full_jitter(attempt, fraction) <= MAX_BACKOFF_S
    assert full_jitter(attempt, 0.0) == 0.0
    assert full_jitter(attempt + 1, 1.0) >= full_jitter(attempt, 1.0)
