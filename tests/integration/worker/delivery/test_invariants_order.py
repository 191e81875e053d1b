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
from trackrelay import Person
from trackrelay.worker.delivery import cycle, sender
from trackrelay.worker.track_api.responses import Answer, NoAnswer

SHARD = shard_of_person("42")
LARGE = "x" * 40_000


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
