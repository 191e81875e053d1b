"""The metrics over HTTP: what Prometheus reads, and what probes get."""

import asyncio
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as text_metrics

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.in_process_worker import FakeApi, Worker, people_of
from tests.support.prometheus_server import PrometheusServer, is_installed
from tests.support.skips import NO_PROMETHEUS
from tests.support.waiting import wait_until
from trackrelay.version import __version__
from trackrelay.worker.cli.common.command_stores import Stores, open_stores
from trackrelay.worker.cli.metrics import metric_facts, metrics_app
from trackrelay.worker.cli.metrics.metric_table import METRICS
from trackrelay.worker.settings import load

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def stores(harness: Harness) -> Iterator[Stores]:
    with open_stores(load(harness.settings)) as stores:
        yield stores


@pytest.fixture
def url(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A running server that keeps nothing it has read."""
    for name in ("MIN_AGE_S", "READY_AGE_S", "REST"):
        monkeypatch.setattr(metrics_app, name, 0.0)
    with metrics_app.metrics_server(stores, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def get(url: str, accept: str = "") -> tuple[int, str, str]:
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers["content-type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["content-type"], error.read().decode()


def samples(text: str, parse: Any = text_metrics) -> dict[tuple[str, frozenset[Any]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def value(found: dict[tuple[str, frozenset[Any]], float], name: str, **labels: str) -> float:
    return found[f"trackrelay_{name}", frozenset(labels.items())]


def test_a_scrape_has_every_metric_in_both_formats(
    harness: Harness, api: FakeApi, worker: Worker, url: str
) -> None:
    person, other = people_of(0, 2)
    for each in (person, other):
        harness.producer.track(each, "seen")
    worker.run_shard(0)
    harness.producer.track(person, "waits")
    status, content_type, text = get(f"{url}/metrics")
    assert (status, content_type.partition(";")[0]) == (200, "text/plain")
    found = samples(text)
    assert value(found, "jobs_delivered_total", family="v2") == 2
    assert value(found, "delivery_latency_seconds_count", family="v2") == 2
    assert value(found, "delivery_latency_seconds_bucket", family="v2", le="+Inf") == 2
    assert value(found, "requests_total", family="v2", status="2xx") == len(api.sent)
    assert value(found, "stream_entries_total", shard="0", lane="live") == 3
    assert value(found, "stream_entries_total", shard="1", lane="bulk") == 0
    assert value(found, "queue_jobs", shard="0", lane="live") == 1
    assert value(found, "oldest_job_age_seconds", place="queue") > 0
    assert value(found, "jobs_died_total", reason="rejected") == 0
    assert value(found, "breaker", family="all", state="closed") == 1
    assert value(found, "up", store="redis") == value(found, "up", store="postgres") == 1

    _, content_type, as_open = get(f"{url}/metrics", OPEN_METRICS)
    assert content_type.startswith("application/openmetrics-text")
    again = samples(as_open, open_metrics)
    assert again.keys() == found.keys()

    # A family of samples for each that needs no outbox, finding, verdict, limit or dead letter.
    families = {name for name, _ in found}
    rare = {"outbox_jobs", "findings", "verdicts", "verifications_due", "dead_letters"}
    rare |= {"redis_memory_limit_bytes", "backlog_jobs"}
    for metric in METRICS:
        if metric.name not in rare:
            assert {metric.full_name, f"{metric.full_name}_count"} & families, metric.name


def test_probes_and_scrapes_say_what_does_not_answer(
    harness: Harness, url: str, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get(f"{url}/healthz")[::2] == (200, "ok\n")
    assert get(f"{url}/readyz")[::2] == (200, "ready\n")
    assert get(f"{url}/")[0] == 404
    harness.redis.hset("trackrelay:config", "generation", "another")
    assert get(f"{url}/readyz")[0] == 503
    harness.redis.delete("trackrelay:config")
    with harness.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE trackrelay_alembic_version")
    status, _, text = get(f"{url}/readyz")
    assert (status, text) == (503, "Redis is not ready\nPostgres is not migrated\n")
    assert get(f"{url}/healthz")[0] == 200
    found = samples(get(f"{url}/metrics")[2])
    assert value(found, "up", store="redis") == value(found, "up", store="postgres") == 0
    assert not [name for name, _ in found if "delivered" in name or "backlog" in name]


def test_the_same_answers_come_from_an_asgi_application(stores: Stores) -> None:
    app = metrics_app.metrics_app(stores)

    async def ask(path: str, method: str = "GET") -> tuple[int, bytes]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            raise AssertionError("there is nothing to receive")

        scope = {
            "type": "http",
            "method": method,
            "path": f"/observe{path}",
            "root_path": "/observe",
            "headers": [(b"accept", OPEN_METRICS.encode())],
        }
        await app(scope, receive, send)
        return sent[0]["status"], sent[1]["body"]

    assert asyncio.run(ask("/healthz")) == (200, b"ok\n")
    assert asyncio.run(ask("/healthz", "HEAD")) == (200, b"")
    assert asyncio.run(ask("/metrics"))[1].endswith(b"# EOF\n")
    assert asyncio.run(ask("/metrics", "POST"))[0] == 405
    assert asyncio.run(ask("/elsewhere"))[0] == 404


def test_several_scrapes_share_one_reading_and_rest_in_proportion_to_its_duration() -> None:
    now = [0.0]
    readings = []

    def read() -> int:
        now[0] += 2.0
        readings.append(now[0])
        return len(readings)

    cached = metric_facts.Cached(read, 5.0, 100.0, rest=20.0, clock=lambda: now[0])
    assert [cached.get(), cached.get()] == [1, 1]
    now[0] += 39
    assert cached.get() == 1
    now[0] += 1
    assert cached.get() == 2


def test_a_store_that_hung_for_seconds_does_not_leave_old_metrics_for_minutes() -> None:
    now = [0.0]

    def read() -> float:
        now[0] += 10.0
        return now[0]

    cached = metric_facts.Cached(read, 5.0, 30.0, rest=20.0, clock=lambda: now[0])
    assert cached.get() == 10.0
    now[0] += 29
    assert cached.get() == 10.0
    now[0] += 1
    assert cached.get() == 50.0


def test_the_command_prints_once_and_says_why_it_cannot_listen(
    run: CommandLine, harness: Harness
) -> None:
    found = samples(run("metrics", "--once").out)
    assert value(found, "info", version=__version__) == 1
    answer = run("metrics", "--host", "256.0.0.1")
    assert answer.only_line().startswith("cannot listen on 256.0.0.1:9464: ")


def test_a_real_prometheus_reads_what_the_ledger_says(
    harness: Harness, api: FakeApi, worker: Worker, url: str, tmp_path: Path
) -> None:
    if not is_installed():
        pytest.skip(NO_PROMETHEUS)
    for person in people_of(0, 5):
        harness.producer.track(person, "seen")
    worker.run_shard(0)
    rules = Path(__file__).parents[5] / "deploy" / "prometheus" / "trackrelay.rules.yml"
    where = {"targets": [url.removeprefix("http://")]}
    jobs = [{"job_name": "trackrelay", "static_configs": [where]}]
    server = PrometheusServer(tmp_path, jobs, rules=[rules]).start()

    def delivered() -> list[float]:
        return [each.value for each in server.query("sum(trackrelay_jobs_delivered_total)")]

    try:
        wait_until(lambda: delivered() == [5], 30, "Prometheus to scrape")
        (target,) = server.get("targets")["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")
        # Before the first scrape nothing was observed, and no worker runs: neither is so for long.
        alerts = {
            each["labels"]["alertname"]: each["state"] for each in server.get("alerts")["alerts"]
        }
        assert set(alerts.values()) <= {"pending"}
        series = server.get("label/__name__/values")
        assert {each for each in series if each.startswith("trackrelay_")} >= {
            "trackrelay_delivery_latency_seconds_bucket",
            "trackrelay_requests_total",
        }
    finally:
        server.stop()
