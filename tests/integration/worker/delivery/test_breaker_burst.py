"""Requests that failed together count as one failure of the endpoint."""

import redis

from trackrelay.worker.delivery.breaker import BASE_MS, Breaker
from trackrelay.worker.endpoint_families import Family


def test_requests_that_fail_together_do_not_make_the_wait_grow(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        breaker = Breaker(client, probe_s=30)
        waits = [breaker.failed(Family.V2, "503").wait_s for _ in range(30)]
    assert waits[2] > 0
    assert max(waits) <= BASE_MS / 1000


def test_a_retry_after_among_them_is_honoured(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        breaker = Breaker(client, probe_s=30)
        for _ in range(3):
            breaker.failed(Family.V2, "503")
        assert (
            19 < breaker.failed(Family.V2, "429", rate_limited=True, retry_after_s=20).wait_s <= 20
        )
        assert 19 < breaker.failed(Family.V2, "503").wait_s <= 20
        assert 19 < breaker.read_states(may_probe=None).of(Family.V2).wait_s <= 20
