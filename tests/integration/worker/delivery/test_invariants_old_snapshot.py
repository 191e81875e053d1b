"""Delivered backlog rows that an old snapshot keeps from being vacuumed slow nothing down.

And no row that becomes due behind the scan's cursor is forgotten.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from tests.integration.worker.delivery.test_forgotten_shards import tick
from tests.integration.worker.delivery.test_invariants_backlog import FILL
from tests.support.harness import Harness
from tests.support.in_process_worker import FakeApi, Worker, make_due, people_of
from tests.support.waiting import wait_until
from trackrelay.worker.storage import backlog, due_jobs, duplicate_check, scan_cursor, shards
from trackrelay.worker.storage.duplicate_check import DueFilter
from trackrelay.worker.storage.scan_cursor import ScanResult

DEAD = 12_000
ROWS = 15_000
#: The dead rows fill at least this many blocks of the index and the table.
MANY = 600
FEW = 200


@pytest.fixture
def snapshot(harness: Harness) -> Iterator[None]:
    """What a dump does: nothing that dies from now on can be cleared away."""
    engine = sa.create_engine(harness.engine.url, isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM trackrelay_shards")
        yield
    engine.dispose()


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Avoid scans from the start, also on a quick machine."""
    monkeypatch.setattr(scan_cursor, "REST", 1e9)
    monkeypatch.setattr(scan_cursor, "MAX_REST_S", 1e9)


def fill(harness: Harness, rows: int, keys: int, delivered: int = 0) -> None:
    with harness.engine.begin() as connection:
        connection.execute(FILL, {"rows": rows, "keys": keys})
        connection.execute(
            sa.text("UPDATE trackrelay_shards SET next_position = :rows"), {"rows": rows}
        )
    with harness.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE trackrelay_backlog")
        connection.execute(
            sa.text("DELETE FROM trackrelay_backlog WHERE position < :delivered"),
            {"delivered": delivered},
        )
        connection.execute(
            sa.text(
                "UPDATE trackrelay_backlog SET due_at = now() WHERE position < :end "
                "AND due_at IS NULL"
            ),
            {"end": delivered + keys},
        )


class Blocks:
    """Return how many blocks each execution of a statement touches in the backlog's indexes."""

    def __init__(self, engine: sa.Engine, words: str, index: str) -> None:
        self.touched: list[int] = []
        self._words, self._index, self._asking = words, index, False
        sa.event.listen(engine, "before_cursor_execute", self._explain)

    def _explain(
        self, connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> None:
        if self._words not in statement or self._asking:
            return
        self._asking = True
        cursor.execute("SAVEPOINT explained")
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters)
        self.touched.append(_blocks(cursor.fetchone()[0][0]["Plan"], self._index))
        cursor.execute("ROLLBACK TO SAVEPOINT explained")
        self._asking = False


def _blocks(step: dict[str, Any], index: str) -> int:
    steps = step.get("Plans", [])
    if index in {step.get("Index Name"), *(below.get("Index Name") for below in steps)}:
        return int(step["Shared Hit Blocks"] + step["Shared Read Blocks"])
    return sum(_blocks(below, index) for below in steps)


BY_POSITION = "ix_trackrelay_backlog_due"
BY_KEY = "ix_trackrelay_backlog_shard_lane_key_position"


@pytest.mark.usefixtures("snapshot", "seldom")
def test_scans_do_not_step_over_delivered_rows_again_and_again(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    fill(harness, ROWS, ROWS, delivered=DEAD)
    looks = Blocks(worker.resources.engine, "WITH batched_firsts", BY_POSITION)
    worker.run_shard(0, 20.0)
    assert len(api.taken) == ROWS - DEAD
    # One for each lane: only a scan from the start shows that nothing is left.
    assert sum(touched >= MANY for touched in looks.touched) <= 2, looks.touched
    assert len([touched for touched in looks.touched if touched < FEW]) >= 3, looks.touched


@pytest.mark.usefixtures("snapshot", "seldom")
def test_whether_something_is_due_beside_new_jobs_is_told_without_passing_over_what_was_delivered(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    fill(harness, ROWS, ROWS, delivered=ROWS)
    questions = Blocks(worker.resources.engine, "SELECT 'due'", BY_POSITION)
    people = iter(people_of(0, 20))
    api.answers = lambda request, documents: next(
        (harness.producer.track(each, "new", {}) and None for each in people), None
    )
    harness.producer.track(next(people), "new", {})
    worker.run_shard(0, 20.0)
    assert len(api.taken) == 20
    assert len(questions.touched) == 20
    assert max(questions.touched) < FEW


@pytest.mark.usefixtures("snapshot")
def test_a_long_queue_is_scanned_only_where_jobs_are_left(harness: Harness) -> None:
    fill(harness, ROWS, 100, delivered=DEAD)
    looks = Blocks(harness.engine, "WITH batched_firsts", BY_KEY)
    promotions = Blocks(harness.engine, "SET due_at = greatest(", BY_KEY)
    with harness.engine.begin() as connection:
        shards.lock(connection, [0])
        jobs = due_jobs.select_due(connection, 0, "live", 1_000, DEAD).jobs
        left = backlog.remove(connection, [job.id for job in jobs])
        backlog.promote(connection, left, 0.0)
    assert len({job.keys for job in jobs}) > 40
    # Of each queue 120 rows are dead.
    assert max(*looks.touched, *promotions.touched) < 2 * len(jobs) < 40 * 120


def test_what_is_taken_from_the_middle_of_a_queue_lets_nothing_pass_what_is_first(
    harness: Harness,
) -> None:
    fill(harness, 30, 10)
    with harness.engine.begin() as connection:
        shards.lock(connection, [0])
        connection.exec_driver_sql("UPDATE trackrelay_backlog SET due_at = NULL WHERE position = 5")
        left = backlog.remove(connection, [f"{number:026}" for number in (13, 15)])
        backlog.promote(connection, left, 0.0)
    due_now = harness.rows(
        "SELECT position FROM trackrelay_backlog WHERE due_at IS NOT NULL ORDER BY position"
    )
    assert [row.position for row in due_now] == list(range(10))


def test_a_look_that_takes_long_queues_says_where_the_next_one_begins(harness: Harness) -> None:
    fill(harness, 300, 10)
    with harness.engine.begin() as connection:
        # Ten queues, each of thirty rows that stand together.
        connection.exec_driver_sql(
            "UPDATE trackrelay_backlog SET position = mod(position, 10) * 30 + position / 10"
        )
        looks = [
            due_jobs.select_due(connection, 0, "live", 20, start) for start in (0, 181, 270, 271)
        ]
    # Ten rows of each that fits; fourteen and what fits of the next; twenty; none.
    assert [[int(job.id) % 10 for job in look.jobs][-1:] for look in looks] == [[1], [8], [9], []]
    assert [look.scanned for look in looks] == [
        ScanResult(0, 31, 300),
        ScanResult(210, 241, 300),
        ScanResult(270, None, 300),
        ScanResult(None, None, 300),
    ]


@pytest.mark.usefixtures("snapshot", "seldom")
def test_ticks_do_not_pass_over_what_was_delivered_again_and_again(
    harness: Harness, worker: Worker
) -> None:
    fill(harness, ROWS, ROWS, delivered=DEAD)
    questions = Blocks(worker.resources.engine, "asked.start AND", BY_POSITION)
    for _ in range(3):
        harness.redis.delete("trackrelay:0:wakeup", "trackrelay:0:lease")
        assert tick(worker) == [0]
    first, *others = questions.touched
    assert first >= MANY > FEW > max(others)


@pytest.mark.usefixtures("seldom")
def test_jobs_that_become_due_behind_the_scan_are_delivered_before_the_holder_ends(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    fill(harness, 2_500, 2_500)
    later(harness, 10)
    worker.run_shard(0, 20.0)
    assert len(api.taken) == 2_490
    make_due(harness.engine)
    worker.run_shard(0, 20.0)
    assert names(api)[2_490:] == list(range(10))


@pytest.mark.parametrize(
    "backlog_rows", [10, 1_500], ids=["nothing else is due", "looks have gone on"]
)
def test_jobs_that_become_due_behind_the_scan_are_delivered_beside_constant_new_jobs(
    harness: Harness, api: FakeApi, worker: Worker, backlog_rows: int
) -> None:
    fill(harness, backlog_rows, backlog_rows)
    later(harness, 10)
    requests = itertools.count()
    people = itertools.cycle(people_of(0, 50))

    def answers(request: Any, documents: Any) -> None:
        if next(requests) == 10:
            make_due(harness.engine)
        if 9 not in names(api):
            harness.producer.track(next(people), "new", {})

    api.answers = answers
    harness.producer.track(next(people), "new", {})
    worker.run_shard(0, 20.0)
    assert sorted(name for name in names(api) if name != "new") == list(range(backlog_rows))
    assert next(requests) > 10


def test_jobs_that_become_due_behind_the_ticks_are_found(harness: Harness, worker: Worker) -> None:
    fill(harness, 10, 10)
    later(harness, 10)
    assert tick(worker) == []
    assert worker.resources.tick_cursors[0, "live"]._next == 10
    make_due(harness.engine)
    wait_until(lambda: tick(worker) == [0], 5, "the shard to be woken")


def test_whether_something_is_due_is_asked_from_a_position_on_or_not_at_all(
    harness: Harness,
) -> None:
    fill(harness, 10, 10)
    with harness.engine.connect() as connection:
        ids, keys = ["new"], ["id:new"]
        assert duplicate_check.find_duplicates(
            connection, 0, "live", ids, keys, due=DueFilter(9)
        ).has_due
        assert not duplicate_check.find_duplicates(
            connection, 0, "live", ids, keys, due=DueFilter(10)
        ).has_due
        assert not duplicate_check.find_duplicates(
            connection, 0, "live", ids, keys, due=None
        ).has_due


def names(api: FakeApi) -> list[Any]:
    """What everything taken is called; jobs of the backlog by their position."""
    return [document["name"] for sent in api.sent for document in sent.documents]


def later(harness: Harness, rows: int) -> None:
    """The first rows wait for their moment."""
    with harness.engine.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE trackrelay_backlog SET due_at = now() + interval '1 hour' "
                "WHERE position < :rows"
            ),
            {"rows": rows},
        )
