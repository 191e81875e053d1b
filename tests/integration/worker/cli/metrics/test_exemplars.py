"""Buckets of the time from the call to the arrival name a trace, in the format OpenMetrics."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError

from tests.support.fixtures.tracing_fixtures import Recorded
from tests.support.harness import Harness
from tests.support.in_process_worker import Worker, people_of
from trackrelay.worker.cli.common.command_stores import open_stores
from trackrelay.worker.cli.metrics.metric_facts import read_facts
from trackrelay.worker.cli.metrics.metrics_app import metrics_text
from trackrelay.worker.settings import load
from trackrelay.worker.telemetry import exemplars


def test_a_bucket_names_the_trace_of_one_of_its_jobs(
    harness: Harness, worker: Worker, recorded: Recorded
) -> None:
    first, second = people_of(0, 2)
    harness.producer.track(first, "seen")
    worker.run_shard(0)
    # Within ten seconds nothing more is written.
    harness.producer.track(second, "seen")
    worker.run_shard(0)

    with open_stores(load(harness.settings)) as stores:
        facts = read_facts(stores)
    text, _ = metrics_text(facts, "application/openmetrics-text")
    found = [
        (sample.labels, sample.exemplar, float(sample.labels["le"]))
        for family in text_string_to_metric_families(text.decode())
        if family.name == "trackrelay_delivery_latency_seconds"
        for sample in family.samples
        if sample.exemplar
    ]
    ((labels, exemplar, bound),) = found
    call = recorded.named("enqueue")[0]
    assert labels["family"] == "v2"
    assert exemplar.labels == {"trace_id": f"{call.context.trace_id:032x}"}
    assert 0 <= exemplar.value <= bound
    plain, _ = metrics_text(facts)
    assert b"trace_id" not in plain


def test_a_postgres_that_is_away_keeps_no_exemplar_and_raises_nothing(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*arguments: object) -> None:
        raise OperationalError("canary", {}, Exception())

    monkeypatch.setattr(exemplars.state, "merge", away)
    monkeypatch.setattr(exemplars, "exemplars_of", lambda jobs, now: {"v2:1": "one"})
    assert worker.resources.exemplars is not None
    worker.resources.exemplars.note([], 0.0)
