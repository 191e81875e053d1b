"""A Redis that Sentinels watch: everybody finds the primary, before and after it dies."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import trackrelay
from tests.support.canaries import leaks
from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.in_process_worker import people_of
from tests.support.outbox import Application, make_relay
from tests.support.replicas import RedisGroup
from trackrelay import Producer, QueueUnavailableError, aio
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.queue.bootstrap import migrate

PASSWORD, SENTINEL_PASSWORD = "redisPASSWORDcanary", "sentinelPASSWORDcanary"


@pytest.fixture
def group() -> Iterator[RedisGroup]:
    with RedisGroup(password=PASSWORD, sentinel_password=SENTINEL_PASSWORD) as group:
        yield group


@pytest.fixture
def harness(
    group: RedisGroup, worker_settings: dict[str, str], sandbox: SandboxProcess
) -> Iterator[Harness]:
    worker_settings["TRACKRELAY_REDIS_URL"] = group.url
    harness = Harness(worker_settings, sandbox.client, redis_wait_replicas=1)
    migrate(harness.engine, harness.redis, 4)
    yield harness
    harness.close()


async def _await_one(person: str) -> str:
    job = await aio.track(person, "awaited", {})
    await aio.aclose()
    return job


@pytest.mark.timeout(300)
def test_everything_continues_at_the_primary_that_the_sentinels_elect(
    group: RedisGroup,
    harness: Harness,
    postgres_application: Application,
    start_worker: Callable[..., Any],
    run: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trackrelay.queue.queue_client.COOL_DOWN_S", 0.0)
    trackrelay.configure(redis_url=group.url, enqueue_timeout=30)
    worker = start_worker(harness.settings, pool="threads", concurrency=2)
    relay = make_relay(harness.settings)
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        jobs = [harness.producer.track(person, "before", {}) for person in people_of(0, 3)]
        jobs += [asyncio.run(_await_one("42")), postgres_application.track("43", "before")]
        harness.wait_delivered(jobs, 60)

        shown = run("check")
        assert "3 of 3 answer, quorum 2" in shown.out
        assert "1 replica, " in shown.out

        dead = group.kill_primary()
        # Two of three Sentinels are enough, and a call asks the next one.
        group.sentinels[0].kill()
        producer = Producer(redis_url=group.url, enqueue_timeout=30)
        after = [producer.track(person, "after", {}) for person in people_of(1, 3)]
        after += [asyncio.run(_await_one("42")), postgres_application.track("43", "after")]
        harness.wait_delivered(after, 120)
        assert worker.running

        # The replica that a call shall wait for is gone.
        with pytest.raises(QueueUnavailableError, match="primary only: 0 of 1 replicas confirmed"):
            Producer(redis_url=group.url, enqueue_timeout=5, redis_wait_replicas=1).track(
                "44", "after", {}
            )
        shown = run("check", TRACKRELAY_REDIS_WAIT_REPLICAS="1")
        assert (shown.code, "and 0 replicas are connected: every call raises" in shown.err) == (
            1,
            True,
        )
        dead.start()
        group.wait_for_replicas()
        again = harness.producer.track("44", "confirmed again", {})
        harness.wait_delivered([again], 60)
        status = run("status")
        assert (status.code, f"127.0.0.1:{group.sentinels[1].port}" in status.out) == (0, True)
    finally:
        relay.stop()
        thread.join()
    secrets = {"Redis": PASSWORD, "Sentinel": SENTINEL_PASSWORD}
    assert not list(leaks([worker.log], secrets))
    assert not [each for each in secrets.values() if each in shown.out + shown.err + status.out]


def test_without_a_sentinel_a_call_fails_in_time_and_names_none_of_the_passwords() -> None:
    url = f"sentinel://:{PASSWORD}@127.0.0.1:1,127.0.0.1:2/mymaster?sentinel_password={SENTINEL_PASSWORD}"
    producer = Producer(redis_url=url, enqueue_timeout=1)
    refused = "none of 2 Sentinels .* 127.0.0.1:1, 127.0.0.1:2: Connection refused"
    with pytest.raises(QueueUnavailableError, match=refused) as error:
        producer.track("42", "ordered", {})
    assert "PASSWORD" not in f"{error.value} {error.value!r}"
