"""Jobs that only v1 carries go one a request, within the budget, and hold up no other keys."""

import threading
import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tests.support.harness import Harness
from tests.support.in_process_worker import SHARDS, FakeApi, Worker, people_of
from tests.support.waiting import wait_until
from trackrelay import operations
from trackrelay.operations.keys import shard_of
from trackrelay.worker.endpoint_families import family_of_operation

LATENCY_S = 0.05
#: Three seconds of the budget: at most so many requests go before what they must not hold up.
REQUESTS = 300

FILL = sa.text("""
    INSERT INTO trackrelay_backlog (job_id, key, shard, lane, position, due_at, sends, parts, keys,
        shards, operation, family,
        body, enqueued_at, age_from, since, reason, attempts, max_batch, replayed, history)
    SELECT lpad((:first + n)::text, 26, '0'), :prefix || n / :each, 0, 'live', :first + n,
        CASE WHEN n % :each = 0 THEN now() END, true, 1, ARRAY[:prefix || n / :each], ARRAY[0],
        CAST(:operation AS text),
        :family,
        json_build_object('type', 'anonymous', 'action', 'event',
            'identifiers', json_build_object('anonymous_id', (n / :each)::text),
            'name', CAST(:name AS text)),
        now(), now(), now(), 'breaker', 0, 1000, false, '[]'
    FROM generate_series(0, :keys * :each - 1) AS n
""")


@pytest.fixture(autouse=True)
def slow(api: FakeApi) -> None:
    """A Track API that takes its time."""
    api.latency_s = LATENCY_S


def fill(harness: Harness, operation: str, first: int, keys: int, each: int = 1) -> None:
    """Fill the backlog as an outage does: so many keys, `each` jobs of each."""
    prefix, name = (
        ("anonymous:", "single") if operation.startswith("anonymous.") else ("id:", "other")
    )
    values = {
        "first": first,
        "keys": keys,
        "each": each,
        "prefix": prefix,
        "operation": operation,
        "name": name,
    }
    values["family"] = family_of_operation(operation)
    with harness.engine.begin() as connection:
        connection.execute(FILL, values)
        connection.exec_driver_sql(
            "UPDATE trackrelay_shards SET next_position = 100000 WHERE shard = 0"
        )


@pytest.mark.parametrize(("keys", "each"), [(100, 60), (3_000, 1), (1, 3_000)])
def test_it_holds_up_no_other_key_of_the_backlog(
    harness: Harness, api: FakeApi, worker: Worker, keys: int, each: int
) -> None:
    fill(harness, "anonymous.event", 0, keys, each)
    fill(harness, "person.event", 10_000, 1_000)
    # And it moves on itself, but one job of a key after the other.
    hold_until(worker, lambda: api.taken.count("single") >= (150 if keys > 1 else 15))
    hold_until(worker, lambda: api.taken.count("other") == 1_000)
    assert singles_before_the_last(api, "other") <= REQUESTS


def hold_until(worker: Worker, is_done: Callable[[], bool]) -> None:
    """Hold the shard again and again, however slow the machine is."""

    def held() -> bool:
        worker.run_shard(0, 1.0)
        return is_done()

    wait_until(held, 20, "the shard to be worked off so far")


def singles_before_the_last(api: FakeApi, label: str) -> int:
    """How many requests of v1 went before the last job that is called so."""
    taken = api.taken
    return taken[: len(taken) - taken[::-1].index(label)].count("single")


def test_the_oldest_single_jobs_are_not_skipped_for_ever(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    fill(harness, "anonymous.event", 0, 300)
    fill(harness, "person.event", 10_000, 10_000)
    hold_until(worker, lambda: api.taken.count("single") == 300)
    # Not all of the others went first.
    assert "single" in api.taken[:5_000]


def test_it_holds_up_no_new_jobs(harness: Harness, api: FakeApi, worker: Worker) -> None:
    fill(harness, "anonymous.event", 0, 100, 40)
    with harness.producer.pipeline() as pipeline:
        for person in people_of(0, 3_000):
            pipeline.track(person, "new", {})
    hold_until(worker, lambda: api.taken.count("single") >= 30 and api.taken.count("new") == 3_000)
    assert singles_before_the_last(api, "new") <= REQUESTS


def test_in_bulk_it_does_not_delay_live_jobs(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    visitors = [
        f"v{number}" for number in range(20_000) if shard_of(f"anonymous:v{number}", SHARDS) == 0
    ][:2_000]
    harness.producer.enqueue_many(
        [operations.track_anonymous(visitor, "bulk", {}) for visitor in visitors]
    )
    called: dict[str, int] = {}

    def call() -> None:
        for number, person in enumerate(people_of(0, 40)):
            called[f"live {number}"] = len(api.sent)
            harness.producer.track(person, f"live {number}", {})
            time.sleep(0.1)

    caller = threading.Thread(target=call)
    caller.start()
    while caller.is_alive():
        worker.run_shard(0, 1.0)
    worker.run_shard(0, 1.0)
    hold_until(worker, lambda: called.keys() <= set(api.taken) and api.taken.count("bulk") >= 100)
    # In requests that went before it: a hundred are a second of the budget.
    waited = [
        place - called[name]
        for place, sent in enumerate(api.sent)
        for name in sent.labels
        if name in called
    ]
    assert len(waited) == len(called)
    assert max(waited) < 100
