"""Settlement records, in its own transaction, what was sent about the selected subjects."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.harness import Harness
from tests.support.in_process_worker import (
    FakeApi,
    Worker,
    child_holding,
    end_of,
    expire_lease,
    people_of,
    refusal,
)


@pytest.fixture
def make_worker(harness: Harness, api: FakeApi) -> Iterator[Callable[..., Worker]]:
    """Starts a worker inside this process with settings of verification."""
    workers: list[Worker] = []

    def make(verify: str = "all", **settings: str) -> Worker:
        environment = {
            **harness.settings,
            "TRACKRELAY_MERGE_DELAY": "0s",
            "TRACKRELAY_VERIFY": verify,
            **{f"TRACKRELAY_VERIFY_{name.upper()}": value for name, value in settings.items()},
        }
        workers.append(Worker(environment, api))
        return workers[-1]

    yield make
    for worker in workers:
        worker.close()


def items(harness: Harness, key: str) -> dict[str, Any]:
    rows = harness.rows("SELECT items FROM trackrelay_sent WHERE key = :key", key=key)
    return dict(rows[0].items) if rows else {}


def test_nothing_is_remembered_unless_somebody_asks_for_it(
    harness: Harness, worker: Worker
) -> None:
    harness.producer.identify("42", {"plan": "pro"})
    worker.work_off(harness.ledger_ids)
    assert harness.rows("SELECT * FROM trackrelay_sent") == []


def test_what_was_delivered_is_remembered_and_no_value_of_it(
    harness: Harness, make_worker: Callable[..., Worker]
) -> None:
    jobs = {
        harness.producer.identify("42", {"plan": "canary-value"}),
        harness.producer.track("42", "order_placed", {"secret": "canary-value"}),
    }
    make_worker().work_off(lambda: harness.ledger_ids() == jobs)
    ((key, address, due, sent, rest),) = [
        (row.key, row.address, row.due_at, row.last_sent_at, json.dumps(row.items))
        for row in harness.rows("SELECT * FROM trackrelay_sent")
    ]
    assert (key, address) == ("id:42", {"id": "42"})
    assert (due - sent).total_seconds() == pytest.approx(120, abs=1)
    assert "canary-value" not in rest
    names = {name.rpartition(":")[0] for name in items(harness, "id:42")}
    assert names == {"", "attribute", "event:order_placed"}
    ledger = harness.rows("SELECT delivered_at FROM trackrelay_ledger ORDER BY delivered_at")
    assert sent == ledger[-1].delivered_at


def test_a_sample_is_remembered(harness: Harness, make_worker: Callable[..., Worker]) -> None:
    jobs = {harness.producer.identify(f"p{number}", {"a": 1}) for number in range(400)}
    make_worker("sample", sample="10%").work_off(lambda: harness.ledger_ids() == jobs)
    assert 10 < len(harness.rows("SELECT * FROM trackrelay_sent")) < 90


def test_what_customer_io_refused_is_not_remembered(
    harness: Harness, api: FakeApi, make_worker: Callable[..., Worker]
) -> None:
    api.answers = lambda request, documents: refusal("no")
    job = harness.producer.identify("42", {"plan": "x"})
    make_worker().work_off(lambda: harness.dead(job) or harness.breaker().get("state") == "halted")
    assert harness.rows("SELECT * FROM trackrelay_sent") == []


def test_the_memory_is_that_of_the_settlement_whenever_the_worker_is_killed(
    harness: Harness, make_worker: Callable[..., Worker]
) -> None:
    (person,) = people_of(0, 1)
    environment = {**harness.settings, "TRACKRELAY_VERIFY": "all"}
    for place in ("before_settle", "before_commit", "after_settle"):
        job = harness.producer.identify(person, {place: 1})
        with child_holding(environment, 0, f"{place}=kill") as pid:
            end_of(pid)
        expire_lease(harness.redis, 0)
        remembered = f"attribute:{place}" in items(harness, f"id:{person}")
        assert remembered == (job in harness.ledger_ids())
        make_worker().work_off(lambda job=job: job in harness.ledger_ids())  # type: ignore[misc]
        assert items(harness, f"id:{person}")[f"attribute:{place}"][2] == job
        assert harness.redis.xlen("trackrelay:0:live") == 0


def test_a_merge_of_people_in_two_shards_clears_the_secondary(
    harness: Harness, make_worker: Callable[..., Worker]
) -> None:
    (first,), (second,) = people_of(0, 1), people_of(1, 1)
    jobs = {
        harness.producer.identify(first, {"plan": "a"}),
        harness.producer.identify(second, {"plan": "b"}),
        harness.producer.merge(primary=first, secondary=second),
    }
    make_worker().work_off(lambda: harness.ledger_ids() == jobs)
    assert set(items(harness, f"id:{first}")) == {"exists", "attribute:plan"}
    assert set(items(harness, f"id:{second}")) == {"merge"}


def test_a_delete_clears_and_an_unsuppress_forgets(
    harness: Harness, make_worker: Callable[..., Worker]
) -> None:
    jobs = {
        harness.producer.identify("1", {"plan": "a"}),
        harness.producer.delete_person("1"),
        harness.producer.suppress("2"),
        harness.producer.unsuppress("2"),
    }
    make_worker().work_off(lambda: harness.ledger_ids() == jobs)
    assert set(items(harness, "id:1")) == {"absent"}
    assert items(harness, "id:2") == {}


def test_a_job_that_no_text_column_holds_costs_its_neighbours_nothing(
    harness: Harness, make_worker: Callable[..., Worker]
) -> None:
    jobs = {
        harness.producer.identify("42", {"a\0b": "x\0y", "fine": 2}),
        harness.producer.identify("43", {"fine": 2}),
    }
    make_worker().work_off(lambda: harness.ledger_ids() == jobs)
    assert "attribute:fine" in items(harness, "id:42")
    assert "attribute:fine" in items(harness, "id:43")


def test_the_last_of_jobs_that_are_settled_together_counts(
    harness: Harness, make_worker: Callable[..., Worker]
) -> None:
    jobs = [harness.producer.identify("42", {"plan": str(number)}) for number in range(8)]
    make_worker().work_off(lambda: harness.ledger_ids() == set(jobs))
    assert len({row.delivered_at for row in harness.rows("SELECT * FROM trackrelay_ledger")}) == 1
    assert items(harness, "id:42")["attribute:plan"][2] == jobs[-1]
