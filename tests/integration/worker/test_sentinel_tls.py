"""A Redis and Sentinels that speak TLS alone: jobs arrive, and wrong settings have clear errors."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import trackrelay
from tests.support.canaries import leaks
from tests.support.certificates import Certificate, make_certificate
from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.in_process_worker import people_of
from tests.support.replicas import RedisGroup, tls_program
from tests.support.skips import NO_TLS
from tests.support.worker_process import clean_environment
from trackrelay import Producer, QueueUnavailableError, aio
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.queue.bootstrap import migrate

PASSWORD, SENTINEL_PASSWORD = "redisPASSWORDcanary", "sentinelPASSWORDcanary"
SETTING = "TRACKRELAY_REDIS_URL"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"), "redis")


@pytest.fixture(scope="module")
def group(certificate: Certificate) -> Iterator[RedisGroup]:
    if not tls_program():
        pytest.skip(NO_TLS)
    group = RedisGroup(
        password=PASSWORD, sentinel_password=SENTINEL_PASSWORD, certificate=certificate
    )
    with group:
        yield group


async def _await_one(person: str) -> str:
    job = await aio.track(person, "awaited", {})
    await aio.aclose()
    return job


def _pong(settings: dict[str, str]) -> str:
    """What a worker answers to Celery's own command, which publishes and subscribes."""
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "trackrelay", "inspect", "-t", "30", "ping"],
        env=clean_environment() | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_jobs_arrive_before_and_after_a_failover(
    group: RedisGroup,
    worker_settings: dict[str, str],
    sandbox: SandboxProcess,
    start_worker: Callable[..., Any],
    run: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trackrelay.queue.queue_client.COOL_DOWN_S", 0.0)
    worker_settings[SETTING] = run.settings[SETTING] = group.url
    trackrelay.configure(redis_url=group.url, enqueue_timeout=30)
    harness = Harness(worker_settings, sandbox.client, redis_wait_replicas=1)
    try:
        migrate(harness.engine, harness.redis, 4)
        worker = start_worker(harness.settings, pool="threads", concurrency=2)
        jobs = [harness.producer.track(person, "before", {}) for person in people_of(0, 3)]
        harness.wait_delivered([*jobs, asyncio.run(_await_one("42"))], 60)
        shown = run("check")
        assert "3 of 3 answer, quorum 2" in shown.out, shown

        group.kill_primary()
        producer = Producer(redis_url=group.url, enqueue_timeout=30)
        after = [producer.track(person, "after", {}) for person in people_of(1, 3)]
        harness.wait_delivered([*after, asyncio.run(_await_one("42"))], 120)
        assert "pong" in _pong(harness.settings)
        assert worker.running
    finally:
        harness.close()
    secrets = {"Redis": PASSWORD, "Sentinel": SENTINEL_PASSWORD}
    assert not list(leaks([worker.log], secrets))
    assert not [each for each in secrets.values() if each in shown.out + shown.err]


def _said(url: str) -> str:
    with pytest.raises(QueueUnavailableError) as error:
        Producer(redis_url=url, enqueue_timeout=3).track("42", "ordered", {})
    return str(error.value)


@pytest.mark.timeout(300)
def test_errors_of_tls_name_the_setting_the_host_and_the_cause(
    group: RedisGroup, certificate: Certificate, redis_url: str, run: CommandLine, tmp_path: Path
) -> None:
    good = certificate.options
    strange = {"ssl_ca_certs": str(make_certificate(tmp_path, "another").authority)}
    missing = {"ssl_ca_certs": str(tmp_path / "missing.pem")}
    anonymous = {"ssl_ca_certs": good["ssl_ca_certs"]}
    login = {"sentinel_user": "watch", "sentinel_password": SENTINEL_PASSWORD}
    primary = f"127.0.0.1:{group.primary().port}/0"
    sentinels = ",".join(f"127.0.0.1:{each.port}" for each in group.sentinels) + "/mymaster"
    plain = redis_url.removeprefix("redis://")
    wrong: list[tuple[str, str, dict[str, str], str]] = [
        ("rediss", primary, good | strange, "none of the CAs in the ssl_ca_… option of"),
        ("rediss", primary, good | missing, "a file in the ssl_… options of"),
        ("rediss", primary, {}, "add ssl_ca_certs=/path/of/ca.pem to"),
        ("rediss", primary, anonymous, "add ssl_certfile=/path"),
        ("rediss", plain, {}, "uses no TLS on this port"),
        ("redis", primary, {}, "if this port requires TLS, write rediss:// in"),
        ("sentinels", sentinels, good | strange | login, "none of the CAs in the ssl_ca_…"),
        ("sentinels", sentinels, anonymous | login, "add ssl_certfile=/path"),
        ("sentinels", f"{plain.partition('/')[0]}/mymaster", login, "write sentinel:// in"),
        ("sentinel", sentinels, login, "if this port requires TLS, write sentinels:// in"),
    ]
    for number, (scheme, place, options, hint) in enumerate(wrong):
        url = f"{scheme}://app:{PASSWORD}@{place}?{urlencode(options)}"
        # `check` takes longer than a call, and has the same words.
        texts = [_said(url), *([] if number % 2 else [run("check", TRACKRELAY_REDIS_URL=url).err])]
        for text in texts:
            assert all(words in text for words in (place, hint, SETTING)), text
            assert "PASSWORDcanary" not in text
