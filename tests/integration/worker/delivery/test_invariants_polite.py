"""The fleet keeps its request budget, and single-request jobs hold up no others."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
import redis

from tests.support.harness import Harness
from tests.support.in_process_worker import FakeApi, Worker, people_of
from tests.support.waiting import wait_until
from trackrelay import Person
from trackrelay.worker.delivery.rate_limiter import RateLimiter, SendingBlockedError
from trackrelay.worker.endpoint_families import Family


def flood(harness: Harness, people: list[str]) -> set[str]:
    """Operations that only v1 carries, a request each."""
    with harness.producer.pipeline() as pipeline:
        return {pipeline.submit_form("f", Person(id=person), {"a": "b"}) for person in people}


def test_a_flood_of_v1_singles_holds_up_neither_other_keys_nor_other_shards(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.latency_s = 0.02
    people = people_of(0, 470)
    forms = flood(harness, people[:450])
    with harness.producer.pipeline() as pipeline:
        behind = {pipeline.track(person, "behind", {}) for person in people[450:]}
    flooded = threading.Thread(target=worker.run_shard, args=(0, 60.0))
    flooded.start()
    elsewhere = [harness.producer.track(person, "elsewhere", {}) for person in people_of(1, 20)]
    elsewhere.append(harness.producer.submit_form("f", Person(id=people_of(1, 21)[-1]), {"a": "b"}))
    worker.run_shard(1, 60.0)
    flooded.join()
    order = [label for sent in api.sent for label in dict.fromkeys(sent.labels)]
    assert order.index("elsewhere") < 150
    assert order.index("behind") < 380
    assert harness.ledger_ids() == forms | behind | set(elsewhere)
    assert not harness.dead_ids()


def test_a_task_ends_within_seconds_whatever_its_requests_must_wait_for(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    api.latency_s = 0.05
    person = people_of(0, 1)[0]
    jobs = flood(harness, [person] * 100)  # each waits for the answer to the one before
    worker.run_shard(0, 1.0)
    assert harness.stream_length() == 0
    # It left long before the last one's turn came.
    left = harness.backlog_size()
    assert 0 < left < len(jobs)
    assert len(harness.rows("SELECT * FROM trackrelay_backlog WHERE due_at IS NOT NULL")) == 1
    api.latency_s = 0.0
    worker.work_off(lambda: harness.ledger_ids() == jobs, timeout=40)


@pytest.fixture
def rate_limiter(redis_url: str) -> Iterator[Callable[[float], RateLimiter]]:
    with redis.Redis.from_url(redis_url) as client:
        client.set("trackrelay:0:lease", "1", px=60_000)
        yield lambda rate: RateLimiter(client, requests_per_second=rate, timeout_s=10)


def compete(
    rate_limiter: RateLimiter, batches: int, singles: int, seconds: float
) -> tuple[float, float]:
    """Return requests a second of each kind, when so many senders exceed the budget."""
    counts = {"batch": 0, "single": 0}
    until = time.monotonic() + seconds
    lock = threading.Lock()

    def send(weight: str) -> None:
        while time.monotonic() < until:
            try:
                rate_limiter.wait(0, "1", Family.V2, weight)  # type: ignore[arg-type]
            except SendingBlockedError:
                continue
            with lock:
                counts[weight] += 1
            time.sleep(0.02)

    weights = ["batch"] * batches + ["single"] * singles
    threads = [threading.Thread(target=send, args=(weight,)) for weight in weights]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts["batch"] / seconds, counts["single"] / seconds


@pytest.mark.parametrize("rate", [100.0, 10.0])
def test_batches_go_first_and_singles_keep_a_share_of_the_budget(
    rate_limiter: Callable[[float], RateLimiter], rate: float
) -> None:
    budget = rate_limiter(rate)

    together: list[float] = []

    def shared() -> bool:
        batches, singles = compete(budget, batches=8, singles=8, seconds=2.0)
        together.append(batches + singles)
        return batches > singles > rate / 8

    # A machine that does other things too asks for less than the budget, now and then.
    wait_until(shared, 20, "a budget that is shared")
    assert max(together) < 1.2 * rate + 10


def test_what_nobody_else_wants_is_theirs_who_want_it(
    rate_limiter: Callable[[float], RateLimiter],
) -> None:
    budget = rate_limiter(50.0)
    wait_until(
        lambda: compete(budget, batches=0, singles=4, seconds=1.0)[1] > 35,
        20,
        "singles to have it all",
    )


def test_a_budget_smaller_than_the_patience_is_no_reason_to_spin(
    rate_limiter: Callable[[float], RateLimiter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackrelay.worker.delivery.rate_limiter.MAX_WAIT_S", 1.0)
    slow = rate_limiter(0.1)
    slow.wait(0, "1", Family.V2, "batch")
    began = time.monotonic()
    with pytest.raises(SendingBlockedError):
        slow.wait(0, "1", Family.V2, "batch")
    assert time.monotonic() - began > 0.9
