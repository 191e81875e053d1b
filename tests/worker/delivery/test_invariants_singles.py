"""What only v1 carries goes a request at a time, within the budget; nothing of other keys waits for it to be worked off."""

import threading
import time

import pytest
import sqlalchemy as sa

from producers import operations
from producers.keys import shard_of
from tests.support.road import Road
from tests.worker.delivery.in_process import SHARDS, FakeApi, Worker, people_of
from worker.endpoint_families import family_of_operation

LATENCY_S = 0.05
#: A second's worth of the budget, which is 100 requests.
SECONDS = 3.0

FILL = sa.text("""
    INSERT INTO trackrelay_backlog (job_id, key, shard, lane, position, due_at, sends, parts, keys, shards, operation, family,
        body, enqueued_at, age_from, since, reason, attempts, max_batch, replayed, history)
    SELECT lpad((:first + n)::text, 26, '0'), :prefix || n / :each, 0, 'live', :first + n,
        CASE WHEN n % :each = 0 THEN now() END, true, 1, ARRAY[:prefix || n / :each], ARRAY[0], CAST(:operation AS text),
        :family,
        json_build_object('type', 'anonymous', 'action', 'event', 'identifiers', json_build_object('anonymous_id', (n / :each)::text),
            'name', CAST(:name AS text)),
        now(), now(), now(), 'breaker', 0, 1000, false, '[]'
    FROM generate_series(0, :keys * :each - 1) AS n
""")


@pytest.fixture(autouse=True)
def slow(api: FakeApi) -> None:
    """A Track API that takes its time."""
    api.latency_s = LATENCY_S


def fill(road: Road, operation: str, first: int, keys: int, each: int = 1) -> None:
    """What an outage leaves of so many keys, `each` jobs of each, from a position on."""
    prefix, name = ("anonymous:", "single") if operation.startswith("anonymous.") else ("id:", "other")
    values = {"first": first, "keys": keys, "each": each, "prefix": prefix, "operation": operation, "name": name}
    values["family"] = family_of_operation(operation)
    with road.engine.begin() as connection:
        connection.execute(FILL, values)
        connection.exec_driver_sql("UPDATE trackrelay_shards SET next_position = 100000 WHERE shard = 0")


@pytest.mark.parametrize(("keys", "each"), [(100, 60), (3_000, 1), (1, 3_000)])
def test_it_holds_up_no_other_key_of_the_backlog(
    road: Road, api: FakeApi, worker: Worker, keys: int, each: int
) -> None:
    fill(road, "anonymous.event", 0, keys, each)
    fill(road, "person.event", 10_000, 1_000)
    worker.hold(0, SECONDS)
    assert api.taken.count("other") == 1_000
    # And it moves on itself, but one job of a key after the other.
    assert api.taken.count("single") >= SECONDS * (50 if keys > 1 else 5)


def test_its_oldest_jobs_are_not_passed_over_for_ever(road: Road, api: FakeApi, worker: Worker) -> None:
    fill(road, "anonymous.event", 0, 300)
    fill(road, "person.event", 10_000, 10_000)
    worker.hold(0, 2 * SECONDS)
    assert api.taken.count("single") == 300


def test_it_holds_up_no_new_jobs(road: Road, api: FakeApi, worker: Worker) -> None:
    fill(road, "anonymous.event", 0, 100, 40)
    with road.producer.pipeline() as pipeline:
        for person in people_of(0, 3_000):
            pipeline.track(person, "new", {})
    worker.hold(0, SECONDS)
    assert api.taken.count("new") == 3_000
    assert api.taken.count("single") >= 30


def test_in_bulk_it_does_not_delay_live_jobs(road: Road, api: FakeApi, worker: Worker) -> None:
    visitors = [f"v{number}" for number in range(20_000) if shard_of(f"anonymous:v{number}", SHARDS) == 0][:2_000]
    road.producer.enqueue_many([operations.track_anonymous(visitor, "bulk", {}) for visitor in visitors])
    called: dict[str, float] = {}

    def call() -> None:
        for number, person in enumerate(people_of(0, 40)):
            called[f"live {number}"] = time.monotonic()
            road.producer.track(person, f"live {number}", {})
            time.sleep(0.1)

    caller = threading.Thread(target=call)
    caller.start()
    while caller.is_alive():
        worker.hold(0, 1.0)
    worker.hold(0, 1.0)
    waited = [sent.ended - called[name] for sent in api.sent for name in sent.labels if name in called]
    assert len(waited) == len(called)
    assert max(waited) < 1.0
    assert api.taken.count("bulk") >= 100
