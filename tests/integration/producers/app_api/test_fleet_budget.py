"""Ten requests a second for all processes that share a Redis."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import redis

from tests.support.scripted_app_api import Reply, ScriptedAppApi, scripted
from tests.support.waiting import patient
from trackrelay.app_api import AppApi, request_budget
from trackrelay.app_api.request_budget import LIMIT, FleetBudget, LocalBudget, budget_key
from trackrelay.worker.devstack.servers import ValkeyProcess

KEY = "an-app-api-key"
SEGMENTS = Reply({"segments": []})

READER = """
import sys
from trackrelay.app_api import AppApi
with AppApi(app_api_key="an-app-api-key", app_url=sys.argv[1], redis_url=sys.argv[2]) as api:
    for _ in range(int(sys.argv[3])):
        api.segments()
"""


def busiest_second(server: ScriptedAppApi) -> int:
    times = sorted(each.at for each in server.asked)
    return max(sum(start <= each < start + 1 for each in times) for start in times)


def test_three_processes_together_never_send_more_than_ten_requests_a_second(
    redis_url: str,
) -> None:
    with scripted([SEGMENTS]) as server:
        command = [sys.executable, "-c", READER, server.url, redis_url, "15"]
        readers = [subprocess.Popen(command) for _ in range(3)]
        codes = [each.wait(timeout=patient(120)) for each in readers]
    assert codes == [0, 0, 0]
    assert len(server.asked) == 45
    assert busiest_second(server) <= LIMIT


@pytest.fixture
def budget(redis_url: str) -> Iterator[FleetBudget]:
    budget = FleetBudget(redis_url, budget_key(KEY), LocalBudget())
    yield budget
    budget.close()


def test_the_budget_forgets_old_requests_and_leaves_no_key(
    budget: FleetBudget, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_budget, "WINDOW_S", 60.0)
    assert [budget.take(2) for _ in range(2)] == [0, 0]
    assert 50 < budget.take(2) <= 60
    assert [budget.take(LIMIT) for _ in range(8)] == [0] * 8
    with redis.Redis.from_url(redis_url) as client:
        key = budget_key(KEY)
        assert client.llen(key) == LIMIT
        assert 60_000 < client.pttl(key) <= 120_000
        # As if a minute had passed for all but the last.
        for number in range(1, LIMIT):
            client.lset(key, number, int(time.time() * 1000) - 61_000)
        assert budget.take(2) == 0
        assert client.llen(key) == 2
        # A clock that was set back causes no waits.
        client.lset(key, 0, int(time.time() * 1000) + 3_600_000)
        client.lset(key, 1, int(time.time() * 1000) + 3_600_000)
        assert budget.take(2) == 0


def test_a_pause_holds_for_all(budget: FleetBudget, redis_url: str) -> None:
    budget.pause(60)
    budget.pause(1)
    other = FleetBudget(redis_url, budget_key(KEY), LocalBudget())
    assert 50 < other.take(LIMIT) <= 60
    other.close()


def test_a_redis_that_goes_away_and_comes_back_is_no_error(
    own_redis: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_budget, "COOL_DOWN_S", 0.0)
    with (
        scripted([SEGMENTS]) as server,
        AppApi(app_api_key=KEY, app_url=server.url, redis_url=own_redis.url) as api,
    ):
        api.segments()
        own_redis.kill()
        api.segments()
        own_redis.start()
        api.segments()
        with redis.Redis.from_url(own_redis.url) as client:
            assert client.exists(budget_key(KEY))
    assert len(server.asked) == 3


def test_a_redis_that_is_full_or_answers_strangely_is_no_error(
    redis_url: str, budget: FleetBudget
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(budget_key(KEY), "no list")
    assert budget.take(LIMIT) == 0
    assert [budget.take(LIMIT) for _ in range(LIMIT - 1)] == [0] * (LIMIT - 1)
    assert budget.take(LIMIT) > 0
