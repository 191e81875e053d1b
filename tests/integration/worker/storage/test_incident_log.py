"""Lost jobs are reported until someone acknowledges them. What an outbox still has is not lost."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.in_process_worker import BUSY, FakeApi, Worker, make_due, people_of, probe_now
from tests.support.outbox import Application, relay_once
from tests.support.waiting import wait_until
from trackrelay import operations
from trackrelay.queue.redis_keys import PREFIX, stream
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.maintenance.ticks import TICK_KEY, wake_forgotten_shards
from trackrelay.worker.queue.bootstrap import migrate
from trackrelay.worker.storage import incident_log
from trackrelay.worker.storage.incident_log import Incident, bounds


@pytest.fixture
def harness(worker_settings: dict[str, str], sandbox: SandboxProcess) -> Iterator[Harness]:
    harness = Harness({**worker_settings, "TRACKRELAY_REQUEST_TIMEOUT": "0.2s"}, sandbox.client)
    migrate(harness.engine, harness.redis, 4)
    yield harness
    harness.close()


@pytest.fixture
def run(harness: Harness) -> CommandLine:
    return CommandLine(harness.settings)


def tick(worker: Worker) -> None:
    """One tick, whenever the last one was."""
    worker.redis.delete(TICK_KEY)
    wake_forgotten_shards(worker.resources)


def lost(harness: Harness) -> list[Incident]:
    """Return the incidents that are not acknowledged."""
    with harness.engine.connect() as connection:
        return incident_log.unacknowledged(connection)


def enqueue(harness: Harness, count: int, shard: int = 0) -> list[str]:
    """Direct calls."""
    return [harness.producer.track(person, "seen", {}) for person in people_of(shard, count)]


def test_the_loss_of_a_wiped_redis_is_reported_until_it_is_acknowledged(
    harness: Harness, worker: Worker, run: CommandLine
) -> None:
    enqueue(harness, 12)
    tick(worker)
    assert run("status", "--fail-if", "lost>0").code == 0
    harness.redis.flushall()
    tick(worker)

    status = run("status", "--fail-if", "lost>0")
    assert status.only_line() == (
        "lost>0: lost jobs in unacknowledged incidents; one if unknown: 12"
    )
    assert "Everything is delivered" not in status.out
    assert "Redis lost the queue between " in status.out
    assert ": 12 jobs are lost. Jobs that were enqueued without an outbox in those" in " ".join(
        status.out.split()
    )
    (line,) = (line for line in run("check").lines if "lost" in line)
    assert line.startswith("Postgres, lost jobs: Redis lost the queue between ")
    document = run("status", "--json").json["lost"]
    (incident,) = document["incidents"]
    assert document["jobs"] == incident["at_least"] == incident["at_most"] == 12
    assert incident["kind"] == "wiped"
    assert incident["since"] <= incident["until"]
    assert "12 jobs are lost" in run("incidents").out

    assert run("incidents", "acknowledge", str(incident["number"] + 1)).code == 1
    assert run("incidents", "acknowledge").out == "1 incident acknowledged.\n"
    assert run("status", "--fail-if", "lost>0").code == 0
    assert not [line for line in run("check").lines if "lost" in line]
    assert run("incidents").out == "There is no unacknowledged incident.\n"


def test_a_wipe_that_only_migrate_notices_counts_too(
    harness: Harness, worker: Worker, run: CommandLine
) -> None:
    enqueue(harness, 3)
    tick(worker)
    harness.redis.flushall()
    assert run("migrate").code == 0
    assert [each.at_most for each in lost(harness)] == [3]


def test_what_was_settled_after_the_last_note_is_not_lost(harness: Harness, worker: Worker) -> None:
    enqueue(harness, 5, shard=0)
    enqueue(harness, 7, shard=1)
    tick(worker)
    worker.run_shard(0, 0.2)
    harness.redis.flushall()
    tick(worker)
    (incident,) = lost(harness)
    assert (incident.at_least, incident.at_most) == (7, 7)


def test_jobs_of_the_backlog_that_are_delivered_later_do_not_hide_a_loss(
    harness: Harness, worker: Worker, api: FakeApi
) -> None:
    api.answers = lambda request, documents: BUSY
    enqueue(harness, 20, shard=0)
    worker.run_shard(0, 0.2)
    assert harness.backlog_size() == 20
    enqueue(harness, 4, shard=1)
    tick(worker)
    harness.redis.flushall()
    tick(worker)
    api.answers = lambda request, documents: None
    deadline = time.monotonic() + 30
    while len(harness.ledger_ids()) < 20:
        assert time.monotonic() < deadline
        make_due(harness.engine)
        if harness.redis.exists(f"{PREFIX}breaker"):
            probe_now(harness.redis)
        worker.run_shard(0, 0.2)
        tick(worker)
    (incident,) = lost(harness)
    assert incident.at_most == 4


def test_what_an_outbox_still_has_is_not_lost(
    postgres_application: Application,
    worker_settings: dict[str, str],
    harness: Harness,
    worker: Worker,
) -> None:
    settings = {**harness.settings, "TRACKRELAY_OUTBOX_URL": postgres_application.url}
    for person in people_of(0, 6):
        postgres_application.track(person)
    relay_once(settings)
    enqueue(harness, 2, shard=1)
    tick(worker)
    harness.redis.flushall()
    tick(worker)
    assert [each.at_most for each in lost(harness)] == [8]
    assert relay_once(settings).relayed == 6
    assert [(each.at_least, each.at_most) for each in lost(harness)] == [(2, 2)]


def test_jobs_that_share_an_entry_count_each(harness: Harness, worker: Worker) -> None:
    harness.producer.enqueue_all(
        [operations.track(person, "seen", {}) for person in people_of(0, 50)], lane="bulk"
    )
    assert harness.redis.xlen(stream(0, "bulk")) < 50
    tick(worker)
    harness.redis.flushall()
    tick(worker)
    assert [each.at_most for each in lost(harness)] == [50]


def test_a_wipe_of_which_nothing_is_known_counts_as_one(
    harness: Harness, worker: Worker, run: CommandLine
) -> None:
    """No tick has noted anything yet."""
    harness.redis.flushall()
    tick(worker)
    (incident,) = lost(harness)
    assert (incident.since, incident.at_most) == (None, None)
    assert "it is not known how many jobs were lost" in run("incidents").out
    assert run("status", "--fail-if", "lost>0").code == 1


def test_two_ticks_that_notice_a_wipe_record_it_once(harness: Harness, worker: Worker) -> None:
    enqueue(harness, 2)
    tick(worker)
    harness.redis.flushall()
    tick(worker)
    tick(worker)
    assert len(lost(harness)) == 1


def test_a_note_that_says_nothing_new_is_not_written(harness: Harness, worker: Worker) -> None:
    def note() -> object:
        (row,) = harness.rows("SELECT updated_at FROM trackrelay_state WHERE name = 'streams'")
        return row.updated_at

    tick(worker)
    first = note()
    tick(worker)
    assert note() == first
    enqueue(harness, 1)
    tick(worker)
    assert note() > first  # type: ignore[operator]


@pytest.mark.parametrize(
    ("jobs", "pending", "settled", "again", "expected"),
    [
        pytest.param(10, 0, (0, 0), 0, (10, 10), id="nothing became of them"),
        pytest.param(10, 0, (4, 4), 0, (6, 6), id="some were settled"),
        pytest.param(
            10, 4, (0, 0), 0, (6, 10), id="jobs being sent may have been settled before the note"
        ),
        pytest.param(10, 4, (4, 4), 0, (2, 6), id="or after it"),
        pytest.param(10, 0, (0, 3), 0, (7, 10), id="some may have been settled"),
        pytest.param(10, 0, (0, 0), 10, (0, 0), id="an outbox had all of them"),
        pytest.param(10, 4, (4, 4), 6, (0, 4), id="jobs being sent may be counted twice"),
        pytest.param(10, 0, (30, 30), 0, (0, 0), id="more was settled than there was"),
    ],
)
def test_the_bounds_of_a_loss(
    jobs: int, pending: int, settled: tuple[int, int], again: int, expected: tuple[int, int]
) -> None:
    assert bounds(jobs, pending, settled, again) == expected


def test_running_workers_note_and_notice_by_themselves(
    harness: Harness, run: CommandLine, start_worker: Callable[..., Any]
) -> None:
    assert run("pause").code == 0
    start_worker(harness.settings, pool="threads", concurrency=2)
    enqueue(harness, 9)

    def noted() -> bool:
        return any(
            row.value["jobs"] == 9
            for row in harness.rows("SELECT value FROM trackrelay_state WHERE name = 'streams'")
        )

    wait_until(noted, 60, "the note")
    harness.redis.flushall()
    wait_until(
        lambda: [(each.at_least, each.at_most) for each in lost(harness)] == [(9, 9)],
        60,
        lambda: f"9 in {lost(harness)}",
    )
