"""In order for each key: through retries, detours, barriers, two shards, two workers, crashes."""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.support.harness import Harness
from tests.support.in_process_worker import (
    BUSY,
    SHARDS,
    FakeApi,
    Worker,
    label,
    make_due,
    people_of,
    probe_now,
    refusal,
    shard_of_person,
)
from tests.support.waiting import patient
from trackrelay import Person, operations
from trackrelay.operations.keys import shard_of
from trackrelay.worker.dead_letters.eligibility import ReplayPolicy
from trackrelay.worker.dead_letters.replay_batches import Replayer
from trackrelay.worker.delivery import cycle, sender
from trackrelay.worker.endpoint_families import Family
from trackrelay.worker.storage import duplicate_check
from trackrelay.worker.track_api.responses import Answer, NoAnswer

SHARD = shard_of_person("42")
LARGE = "x" * 40_000


def in_two_shards() -> tuple[str, str]:
    """Two people whose jobs are in different shards."""
    return people_of(0, 1)[0], people_of(1, 1)[0]


def test_an_event_sent_by_v1_keeps_its_place_between_two_sent_by_v2(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    with harness.producer.pipeline() as pipeline:
        for number in range(3):
            pipeline.track("42", f"small {number}", {})
            pipeline.track("42", f"large {number}", {"text": LARGE})
    worker.run_shard(SHARD)
    assert api.taken == ["small 0", "large 0", "small 1", "large 1", "small 2", "large 2"]
    assert [sent.path.split("/")[2] for sent in api.sent] == ["v2", "v1"] * 3


def test_what_follows_a_failed_job_waits_and_other_keys_do_not(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    other = people_of(SHARD, 1)[0]
    failing = [True]
    api.answers = lambda request, documents: (
        BUSY if failing[0] and "large 0" in str(documents)[:200] else None
    )
    with harness.producer.pipeline() as pipeline:
        pipeline.track("42", "before", {})
        pipeline.track("42", "large 0", {"text": LARGE})
        pipeline.track("42", "after", {})
        pipeline.track(other, "of somebody else", {})
        pipeline.track("42", "last", {"text": LARGE})
    worker.run_shard(SHARD, 0.001)
    assert set(api.taken) == {"before", "of somebody else"}
    failing[0] = False
    probe_now(harness.redis)
    make_due(harness.engine)
    worker.run_shard(SHARD)
    assert [name for name in api.taken if name != "of somebody else"] == [
        "before",
        "large 0",
        "after",
        "last",
    ]


def test_a_delete_is_answered_before_the_new_life_begins(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    with harness.producer.pipeline() as pipeline:
        pipeline.identify("42", {"label": "old life"})
        pipeline.delete_person("42")
        pipeline.identify("42", {"label": "new life"})
        pipeline.suppress("42")
        pipeline.unsuppress("42")
        pipeline.track("42", "last", {})
    worker.run_shard(SHARD)
    assert api.taken == [
        "old life",
        "delete 42",
        "new life",
        "suppress 42",
        "unsuppress 42",
        "last",
    ]
    assert len(api.sent) == 6  # each waits for the answer to the one before


def test_a_rejected_job_gives_up_its_place(harness: Harness, api: FakeApi, worker: Worker) -> None:
    api.answers = lambda request, documents: (
        refusal("no") if label(documents[0]) == "delete 42" else None
    )
    with harness.producer.pipeline() as pipeline:
        pipeline.track("42", "before", {})
        bad = pipeline.delete_person("42")
        pipeline.track("42", "after", {})
    worker.run_shard(SHARD)
    assert api.taken == ["before", "after"]
    assert harness.dead_ids() == {bad}


@pytest.mark.parametrize("order_of_shards", [(0, 1), (1, 0)])
def test_a_merge_across_shards_waits_for_both_people_and_holds_up_both(
    harness: Harness, api: FakeApi, worker: Worker, order_of_shards: tuple[int, int]
) -> None:
    one, two = in_two_shards()
    producer = harness.producer
    producer.track(one, "one before", {})
    producer.track(two, "two before", {})
    merge = producer.merge(primary=Person(id=one), secondary=Person(id=two))
    producer.track(one, "one after", {})
    producer.track(two, "two after", {})
    first, second = order_of_shards
    worker.run_shard(first)
    assert not any("after" in name or "merge" in name for name in api.taken)
    assert len(harness.rows("SELECT * FROM trackrelay_backlog WHERE job_id = :id", id=merge)) == 1
    worker.run_shard(second)
    worker.work_off(lambda: len(api.taken) == 5)
    assert set(api.taken[:2]) == {"one before", "two before"}
    assert api.taken[2] == f"merge {one} {two}"
    assert harness.backlog_size() == harness.stream_length() == 0


def test_jobs_moved_to_the_backlog_without_an_attempt_keep_their_order_around_a_merge(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    one, two = in_two_shards()
    worker.breaker.failed(Family.V2, "away", retry_after_s=60)
    with harness.producer.pipeline() as pipeline:
        for who in (one, two):
            pipeline.track(who, f"{who} before", {})
        pipeline.merge(primary=Person(id=one), secondary=Person(id=two))
        for who in (one, two):
            pipeline.track(who, f"{who} after", {})
    worker.work()
    assert harness.stream_length() == 0
    probe_now(harness.redis)
    worker.work_off(lambda: harness.backlog_size() == 0)
    for who in (one, two):
        assert [name for name in api.taken if who in name] == [
            f"{who} before",
            f"merge {one} {two}",
            f"{who} after",
        ]


def test_what_follows_a_job_that_is_held_up_by_its_other_key_waits_with_it(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    cookie = next(
        f"c{number}" for number in range(999) if shard_of(f"anonymous:c{number}", SHARDS) == SHARD
    )
    api.answers = lambda request, documents: BUSY if request.path == "/api/v1/events" else None
    with harness.producer.pipeline() as pipeline:
        pipeline.track_anonymous(cookie, "visited", {})
        pipeline.identify("42", {"label": "joined"}, anonymous_id=cookie)
        pipeline.track("42", "after", {})
    worker.run_shard(SHARD, 0.001)
    assert api.taken == []


def test_a_merge_waits_a_while_after_the_last_delivery_to_either(
    harness: Harness, api: FakeApi
) -> None:
    worker = Worker({**harness.settings, "TRACKRELAY_MERGE_DELAY": "1s"}, api)
    one, two = in_two_shards()
    harness.producer.track(two, "two before", {})
    harness.producer.merge(primary=Person(id=one), secondary=Person(id=two))
    worker.work_off(lambda: len(api.taken) == 2)
    worker.close()
    before, merge = api.sent
    assert merge.began - before.ended >= 1.0


def test_a_job_across_shards_that_is_rejected_frees_both_keys(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    one, two = in_two_shards()
    api.answers = lambda request, documents: (
        refusal("no") if label(documents[0]).startswith("merge") else None
    )
    bad = harness.producer.merge(primary=Person(id=one), secondary=Person(id=two))
    harness.producer.track(one, "one after", {})
    harness.producer.track(two, "two after", {})
    worker.work_off(lambda: harness.dead_ids() == {bad} and len(api.taken) == 2)
    assert harness.backlog_size() == 0


def test_a_job_across_shards_that_kills_its_workers_frees_both_keys(
    harness: Harness, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = in_two_shards()
    bad = harness.producer.merge(primary=Person(id=one), secondary=Person(id=two))
    after = harness.producer.track(two, "after", {})
    worker.run_shard(shard_of_person(two))

    class Killed(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(cycle, "partition_blocked", killed)
        for _ in range(12):
            try:
                worker.run_shard(shard_of_person(one))
            except Killed:
                continue
    worker.work_off(lambda: after in harness.ledger_ids())
    assert harness.dead_ids() == {bad}


def test_a_repeat_that_names_another_second_key_blocks_nobody(
    harness: Harness, worker: Worker
) -> None:
    anonymous = (f"a{number}" for number in range(1000))
    first, second = (
        next(
            name
            for name in anonymous
            if shard_of(f"anonymous:{name}", SHARDS) not in (SHARD, taken)
        )
        for taken in (None, None)
    )
    identify = harness.producer.identify
    job = identify("42", {}, anonymous_id=first, idempotency_key="k")
    assert identify("42", {}, anonymous_id=second, idempotency_key="k") == job
    after = [harness.producer.track_anonymous(name, "after", {}) for name in (first, second)]
    after.append(harness.producer.track("42", "after", {}))
    worker.work_off(lambda: harness.ledger_ids() == {job, *after})


def test_jobs_of_two_keys_enqueued_in_opposite_orders_in_both_lanes_do_not_block_each_other(
    harness: Harness, worker: Worker
) -> None:
    anonymous = next(
        f"a{number}" for number in range(99) if shard_of(f"anonymous:a{number}", SHARDS) != SHARD
    )
    one, two = (
        operations.identify("42", {"label": str(number)}, anonymous_id=anonymous)
        for number in range(2)
    )
    harness.producer.enqueue_all([two, one], lane="bulk")
    worker.run_shard(shard_of(f"anonymous:{anonymous}", SHARDS))
    harness.producer.enqueue_all([one, two])
    worker.work_off(lambda: harness.ledger_ids() == {one.id, two.id}, timeout=4)


def test_a_part_is_not_left_if_both_shards_look_it_up_at_once(
    harness: Harness, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    anonymous = next(
        f"a{number}" for number in range(99) if shard_of(f"anonymous:a{number}", SHARDS) != SHARD
    )
    one, two = (
        operations.identify("42", {"label": str(number)}, anonymous_id=anonymous)
        for number in range(2)
    )
    harness.producer.enqueue_all([two, one], lane="bulk")
    worker.run_shard(shard_of(f"anonymous:{anonymous}", SHARDS))
    harness.producer.enqueue_all([one, two])
    with monkeypatch.context() as a_moment_ago:
        a_moment_ago.setattr(
            duplicate_check,
            "find_duplicates",
            lambda *_: duplicate_check.DuplicateCheck(frozenset(), frozenset()),
        )
        worker.run_shard(SHARD)
    worker.work_off(lambda: harness.ledger_ids() == {one.id, two.id}, timeout=4)


def test_a_replay_across_shards_and_a_job_half_arrived_do_not_wait_for_each_other(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    anonymous = next(
        f"a{number}" for number in range(99) if shard_of(f"anonymous:a{number}", SHARDS) != SHARD
    )
    api.answers = lambda request, documents: refusal("no")
    letter = harness.producer.identify("42", {"label": "replayed"}, anonymous_id=anonymous)
    worker.work_off(lambda: harness.dead_ids() == {letter})
    api.answers = lambda request, documents: None
    imported = operations.identify("42", {"label": "imported"}, anonymous_id=anonymous)
    harness.producer.enqueue_many([imported])
    worker.run_shard(SHARD)  # and the other shard has not been read yet
    list(Replayer.of(worker.resources, who="a test").replay([letter], ReplayPolicy()))
    worker.work_off(lambda: imported.id in harness.ledger_ids(), timeout=3)


def test_a_replay_and_jobs_that_arrive_one_by_one_in_four_shards_do_not_wait_in_a_circle(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    def named(kind: str, shard: int) -> str:
        return next(
            f"n{number}" for number in range(999) if shard_of(f"{kind}:n{number}", SHARDS) == shard
        )

    ada, bob = named("id", 0), named("id", 1)
    phone, laptop = named("anonymous", 2), named("anonymous", 3)
    api.answers = lambda request, documents: refusal("no")
    letter = harness.producer.identify(ada, {"label": "replayed"}, anonymous_id=laptop)
    worker.work_off(lambda: harness.dead_ids() == {letter})
    api.answers = lambda request, documents: None
    imported = [
        operations.identify(bob, {"label": "bob's laptop"}, anonymous_id=laptop),
        operations.identify(bob, {"label": "bob's phone"}, anonymous_id=phone),
        operations.identify(ada, {"label": "ada's phone"}, anonymous_id=phone),
    ]
    harness.producer.enqueue_many(imported)
    worker.run_shard(0)
    list(Replayer.of(worker.resources, who="a test").replay([letter], ReplayPolicy()))
    worker.work_off(lambda: harness.backlog_size() == harness.stream_length() == 0, timeout=5)
    assert api.taken == ["bob's laptop", "bob's phone", "ada's phone", "replayed"]


class Killed(BaseException):
    """Simulates SIGKILL: after it the holder only releases the lease."""


class Weather(FakeApi):
    """A Track API in bad weather: refuses, fails, breaks off before and after it took effect."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._chance = random.Random(seed)
        self.calm = False
        self.effects: list[str] = []

    def send(self, request: Any, send_until: float = float("inf")) -> Answer | NoAnswer:
        """As `TrackApi.send`."""
        document = msgspec.json.decode(request.body)
        documents = document["batch"] if request.kind == "batch" else [document]
        with self._lock:
            chance = 1.0 if self.calm else self._chance.random()
            labels = [label(each) for each in documents if "bad" not in label(each)]
            if chance < 0.06:
                return BUSY
            if chance < 0.10:
                self.effects += labels
                return NoAnswer("no answer within 10 s")
            if chance < 0.12:
                return Answer(429, b"slower")
            if chance < 0.15 and len(documents) > 1:
                return refusal("too much")
            if chance < 0.17:
                return NoAnswer("connection refused")
            self.effects += labels
        if len(labels) == len(documents):
            return Answer(204, b"") if "/forms/" in request.path else Answer(200, b"{}")
        if request.kind != "batch":
            return refusal("bad")
        errors = [
            {"batch_index": index, "reason": "invalid", "field": "name", "message": "bad"}
            for index, each in enumerate(documents)
            if "bad" in label(each)
        ]
        return Answer(207, msgspec.json.encode({"errors": errors}))


class Crowd:
    """Enqueue random jobs of a few people, and record them in order."""

    def __init__(self, harness: Harness, seed: int) -> None:
        self._producer = harness.producer
        self._chance = random.Random(seed)
        self._merged: set[str] = set()
        self.calls: dict[str, list[str]] = defaultdict(list)
        self.labels: dict[str, str] = {}

    def say_something(self) -> None:
        """One job more."""
        chance, producer = self._chance, self._producer
        who, anonymous = f"p{chance.randrange(8)}", f"a{chance.randrange(4)}"
        name = f"{'bad ' if chance.random() < 0.03 else ''}{len(self.labels)}"
        ways: list[tuple[int, Callable[[], str], tuple[str, ...]]] = [
            (50, lambda: producer.track(who, name, {}), (who,)),
            (7, lambda: producer.track(who, name, {"text": LARGE}), (who,)),
            (10, lambda: producer.identify(who, {"label": name}), (who,)),
            (
                15,
                lambda: producer.identify(who, {"label": name}, anonymous_id=anonymous),
                (who, anonymous),
            ),
            (6, lambda: producer.track_anonymous(anonymous, name, {}), (anonymous,)),
        ]
        other = f"p{chance.randrange(8)}"
        merge = f"merge {who} {other}"
        if chance.random() < 0.1 and other != who and merge not in self._merged:
            self._merged.add(merge)
            job, keys, name = (
                producer.merge(primary=Person(id=who), secondary=Person(id=other)),
                (who, other),
                merge,
            )
        else:
            _, call, keys = chance.choices(ways, weights=[weight for weight, _, _ in ways])[0]
            job = call()
        self.labels[job] = name
        for key in keys:
            self.calls[key].append(name)


@pytest.mark.parametrize("seed", range(2))
def test_in_any_weather_with_two_workers_that_die_at_any_moment_every_key_keeps_its_order(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    weather, crowd = Weather(seed), Crowd(harness, seed)
    workers = [
        Worker({**harness.settings, "TRACKRELAY_MERGE_DELAY": "0s"}, weather) for _ in range(2)
    ]

    def may_die(point: str) -> None:
        if not weather.calm and point != "before_send" and chance.random() < 0.03:
            raise Killed(point)

    monkeypatch.setattr(cycle, "failpoint", may_die)
    monkeypatch.setattr(sender, "failpoint", may_die)
    over = threading.Event()

    def work(worker: Worker) -> None:
        while not over.is_set():
            try:
                worker.run_shard(random.randrange(SHARDS), 0.2)
            except Killed:
                continue

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            for _ in range(15):
                crowd.say_something()
            time.sleep(0.05)
            if chance.random() < 0.4:
                make_due(harness.engine)
                probe_now(harness.redis)
        weather.calm = True
        until = time.monotonic() + patient(30)
        while (harness.stream_length() or harness.backlog_size()) and time.monotonic() < until:
            make_due(harness.engine)
            probe_now(harness.redis)
            time.sleep(0.05)
    finally:
        over.set()
        for thread in threads:
            thread.join()
        for worker in workers:
            worker.close()
    assert (
        harness.rows(
            "SELECT job_id, key, due_at, parts, reason FROM trackrelay_backlog ORDER BY key, "
            "position"
        )
        == []
    )
    bad = {job for job, name in crowd.labels.items() if name.startswith("bad")}
    assert harness.dead_ids() == bad
    assert harness.ledger_ids() == crowd.labels.keys() - bad
    took_effect = list(dict.fromkeys(weather.effects))
    for key, calls in crowd.calls.items():
        expected = [name for name in calls if not name.startswith("bad")]
        assert [name for name in took_effect if name in set(expected)] == expected, key
