"""The backlog stays quick when it is long, and when Postgres knows nothing about it yet."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.harness import Harness
from tests.support.in_process_worker import FakeApi, Worker, people_of
from trackrelay.worker.storage import backlog, due_jobs, duplicate_check, shards

ROWS = 20_000

FILL = sa.text("""
    INSERT INTO trackrelay_backlog (job_id, key, shard, lane, position, due_at, sends, parts, keys,
        shards, operation, body,
        enqueued_at, age_from, since, reason, attempts, max_batch, replayed, history)
    SELECT lpad(n::text, 26, '0'), 'id:' || n % :keys, 0, 'live', n,
        CASE WHEN n < :keys THEN now() END, true, 1, ARRAY['id:' || n % :keys], ARRAY[0],
        'person.event', json_build_object('name', n, 'text', repeat('x', 400)),
        now(), now(), now(), 'breaker', 0, 1000, false, '[]'
    FROM generate_series(0, :rows - 1) AS n
""")


@pytest.fixture
def plans(harness: Harness) -> Iterator[list[str]]:
    """Return the plans of each backlog statement while the table has no statistics yet."""
    found: list[str] = []
    with harness.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE trackrelay_backlog SET (autovacuum_enabled = off)")
        connection.execute(FILL, {"rows": ROWS, "keys": ROWS})
    asking = [False]

    @sa.event.listens_for(harness.engine, "before_cursor_execute")
    def explain(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not asking[0] and "trackrelay_backlog" in statement:
            asking[0] = True
            cursor.execute(f"EXPLAIN {statement}", parameters)
            found.append("\n".join(line for (line,) in cursor.fetchall()))
            asking[0] = False

    yield found
    sa.event.remove(harness.engine, "before_cursor_execute", explain)


def test_no_cycle_reads_the_whole_backlog_even_before_there_are_statistics(
    harness: Harness, plans: list[str]
) -> None:
    keys = [f"id:{number}" for number in range(0, ROWS, 20)]
    with harness.engine.begin() as connection:
        shards.lock(connection, [0])
        found = duplicate_check.find_duplicates(
            connection, 0, "live", [f"{number:026}" for number in range(1000)], keys
        )
        assert (len(found.jobs), len(found.waiting_keys), found.has_due) == (1000, 1000, True)
        jobs = due_jobs.select_due(connection, 0, "live", 500).jobs
        assert [job.id for job in jobs] == [f"{number:026}" for number in range(500)]
        # For much more than this, a table of this size is rightly read as a whole.
        del jobs[100:]
        backlog.update(connection, [backlog.BacklogItem(job=job, reason="failed") for job in jobs])
        starts = backlog.remove(connection, [job.id for job in jobs])
        assert len(starts) == 100
        backlog.promote(connection, starts, 0.0)
        due_jobs.first_due(connection, {(0, "live"): 0, (0, "bulk"): 0})
    assert len(plans) == 6
    for plan in plans:
        assert "Seq Scan on trackrelay_backlog" not in plan, plan
        # Neither is an index of it read for all of a shard.
        assert not re.search(
            r" ix_trackrelay_backlog_.*\n +Index Cond: \(shard = [^A]*\)\n", plan
        ), plan


def test_a_cycle_fetches_no_more_rows_of_many_long_queues_than_it_takes(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        connection.execute(FILL, {"rows": ROWS, "keys": 500})
        plan = connection.execute(
            sa.text(f"EXPLAIN (ANALYZE, FORMAT JSON) {due_jobs._SELECT_DUE.text}"),
            due_jobs._parameters(0, "live", 500, 0),
        ).scalar_one()
        assert most_rows(plan[0]["Plan"]) <= 500 + due_jobs.RUN
        jobs = due_jobs.select_due(connection, 0, "live", 500).jobs
    positions = [int(job.id) for job in jobs]
    assert positions == sorted(positions)
    assert len(jobs) == 500


def test_few_of_many_long_queues_need_a_new_first_row(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        connection.execute(FILL, {"rows": ROWS, "keys": 500})
        jobs = due_jobs.select_due(connection, 0, "live", 500).jobs
    # The oldest queues, and of each its first rows.
    assert sorted(int(job.id) for job in jobs) == sorted(
        key + 500 * index for key in range(500 // due_jobs.RUN) for index in range(due_jobs.RUN)
    )


def most_rows(plan: dict[str, Any]) -> float:
    """Return the largest number of rows that a step of a plan returns."""
    own = plan["Actual Rows"] * plan["Actual Loops"]
    return max([own, *(most_rows(step) for step in plan.get("Plans", []))])


def test_a_few_long_queues_are_taken_in_long_runs(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        connection.execute(FILL, {"rows": 2_000, "keys": 2})
        jobs = due_jobs.select_due(connection, 0, "live", 500).jobs
    assert [int(job.id) for job in jobs] == list(range(500))


def test_a_read_of_the_largest_documents_fits_into_a_small_workers_memory(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    with harness.engine.begin() as connection:
        connection.execute(FILL, {"rows": 1_000, "keys": 100})
        monkeypatch.setattr(due_jobs, "MAX_BYTES", 100_000)
        jobs = due_jobs.select_due(connection, 0, "live", 500).jobs
        assert 100_000 <= sum(len(job.body) for job in jobs) < 101_000
        # Of 50 of the queues ten rows each would be taken; as far as they fit, the oldest are.
        oldest = [number for number in range(1_000) if number % 100 < 50]
        assert [int(job.id) for job in jobs] == oldest[: len(jobs)]
        monkeypatch.setattr(due_jobs, "MAX_BYTES", 1)
        assert len(due_jobs.select_due(connection, 0, "live", 500).jobs) == 1


def test_after_an_outage_a_cycle_takes_at_most_half_from_the_backlog_while_the_stream_has_work(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    with harness.engine.begin() as connection:
        connection.execute(FILL, {"rows": 3_000, "keys": 3_000})
        connection.exec_driver_sql(
            "UPDATE trackrelay_shards SET next_position = 4000 WHERE shard = 0"
        )
    with harness.producer.pipeline() as pipeline:
        for person in people_of(0, 240):
            pipeline.track(person, "new", {})
    worker.run_shard(0, 0.0001)
    (first,) = (sent for sent in api.sent if "new" in sent.labels)
    assert first.labels.count("new") == 240
    assert 1 <= len(first.labels) - 240 <= 500
