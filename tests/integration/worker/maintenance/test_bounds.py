"""Pruning removes what nobody needs, and leaves what somebody waits for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from tests.support.harness import Harness
from tests.support.in_process_worker import Worker
from trackrelay.queue.redis_keys import PREFIX, handed_out
from trackrelay.worker.delivery import workspace_guard
from trackrelay.worker.maintenance import probe
from trackrelay.worker.maintenance.redis_leftovers import BROADCAST_TABLES, remove_leftovers
from trackrelay.worker.maintenance.retention import PRUNE_KEY, prune_all
from trackrelay.worker.storage import alert_records, forgotten, incident_log, plans
from trackrelay.worker.storage.incident_log import Kind
from trackrelay.worker.storage.plans import NewPlan

LETTER = """
    INSERT INTO trackrelay_dead_letters (job_id, key, operation, lane, reason, attempts, state,
        enqueued_at, died_at, updated_at, history)
    VALUES (:id, 'id:42', 'person.event', 'live', 'rejected', 1, :state,
        now() - make_interval(days => :age), now() - make_interval(days => :age),
        now() - make_interval(days => :age), '[]')
"""


def run(harness: Harness, statement: str, **values: object) -> None:
    with harness.engine.begin() as connection:
        connection.execute(sa.text(statement), values)


def column(harness: Harness, statement: str) -> set[object]:
    return {row[0] for row in harness.rows(statement)}


@pytest.fixture
def prune(harness: Harness, worker: Worker) -> Callable[[], dict[str, int]]:
    def again() -> dict[str, int]:
        harness.redis.delete(PRUNE_KEY)
        return prune_all(worker.resources)

    return again


def test_a_letter_is_discarded_after_a_year_and_deleted_only_after_90_days_more(
    harness: Harness, prune: Callable[[], dict[str, int]]
) -> None:
    for id, state, age in (
        ("young", "open", 364),
        ("old", "open", 366),
        ("waits", "replaying", 500),
        ("done", "discarded", 91),
    ):
        run(harness, LETTER, id=id, state=state, age=age)
    with capture_logs() as logs:
        pruned = prune()
    assert (pruned["dead_letters_discarded"], pruned["dead_letters"]) == (1, 1)
    assert [each["letters"] for each in logs if each["event"] == "dead_letters_discarded"] == [1]
    rows = harness.rows("SELECT job_id, state, history FROM trackrelay_dead_letters")
    assert {(row.job_id, row.state) for row in rows} == {
        ("young", "open"),
        ("old", "discarded"),
        ("waits", "replaying"),
    }
    (event,) = next(row.history for row in rows if row.job_id == "old")
    assert (event["what"], event["note"]) == ("discarded", "it was open for too long")
    assert prune()["dead_letters"] == 0
    run(harness, "UPDATE trackrelay_dead_letters SET updated_at = now() - interval '91 days'")
    assert prune()["dead_letters"] == 1


def test_losses_stay_until_somebody_acknowledges_them(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        for _ in range(2):
            incident_log.open_incident(connection, Kind.WIPED, "G", 1.0)
        incident_log.acknowledge(connection, [1], "ada")
        assert incident_log.prune(connection) == 0
        connection.exec_driver_sql(
            "UPDATE trackrelay_incidents SET until = until - interval '366 days', "
            "acknowledged_at = acknowledged_at - interval '366 days'"
        )
        assert incident_log.prune(connection) == 1
        assert [each.id for each in incident_log.unacknowledged(connection)] == [2]


def test_alerts_are_forgotten_after_their_end_was_told(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        for name, states in {"ended": ("firing", "resolved"), "fires": ("firing",)}.items():
            for state in states:
                assert alert_records.claim(connection, name, state, "late", 0.0)
                alert_records.confirm(connection, name, state)
        alert_records.claim(connection, "untold", "resolved", "late", 0.0)
        connection.exec_driver_sql(
            "UPDATE trackrelay_alerts SET told_at = told_at - interval '31 days'"
        )
        assert alert_records.prune(connection) == 1
    assert column(harness, "SELECT name FROM trackrelay_alerts") == {"fires", "untold"}


def test_old_versions_of_the_plan_go_and_the_latest_fifty_stay(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        for number in range(60):
            new = NewPlan("shop", "text", f"{number:064d}")
            plans.apply(connection, new, timedelta(0), "ada")
        assert plans.prune(connection) == 0
        connection.exec_driver_sql(
            "UPDATE trackrelay_plans SET in_force_until = now() - interval '366 days' "
            "WHERE version <= 30"
        )
        assert plans.prune(connection) == 10
        assert [each.version for each in plans.in_force(connection)] == [60]


def test_requests_to_forget_go_when_they_are_complete_and_their_time_is_over(
    harness: Harness,
) -> None:
    def versions() -> set[object]:
        return column(harness, "SELECT block_version FROM trackrelay_shards")

    with harness.engine.begin() as connection:
        for name in ("complete", "open", "young", "lately allowed"):
            forgotten.mark(connection, name, "erase", {f"id:#{name}": None}, {})
            if name != "open":
                forgotten.complete(connection, name, {"done": True})
        forgotten.allow_again(connection, ["id:#lately allowed"])
        connection.exec_driver_sql(
            "UPDATE trackrelay_forgotten SET requested_at = now() - interval '11 days' "
            "WHERE request <> 'young'"
        )
    before = versions()
    with harness.engine.begin() as connection:
        assert forgotten.prune(connection, timedelta(days=10)) == 1
    assert column(harness, "SELECT request FROM trackrelay_forgotten") == {
        "open",
        "young",
        "lately allowed",
    }
    # Holders learn that a key is not blocked any more.
    assert before != versions()


def test_what_killed_workers_leave_in_redis_is_removed_and_nothing_else(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, counts = harness.redis, handed_out(0, "live")
    harness.producer.track("42", "seen", {})
    client.hset(counts, mapping={"gone": 3, "waits": 2})
    run(
        harness,
        "INSERT INTO trackrelay_backlog (job_id, key, shard, lane, position, sends, parts, keys, "
        "shards, operation, body, enqueued_at, age_from, since, reason, attempts, max_batch, "
        "replayed, history) VALUES ('waits', 'id:1', 0, 'live', 1, true, 1, '{id:1}', '{0}', "
        "'person.event', '{}', now(), now(), now(), 'failed', 0, 1, false, '[]')",
    )
    full, small = BROADCAST_TABLES
    client.sadd(full, *range(1_001))
    client.sadd(small, "a worker")
    assert remove_leftovers(client, harness.engine) == 1_002
    assert client.hgetall(counts) == {b"waits": b"2"}
    assert not client.exists(full)
    assert client.scard(small) == 1
    assert harness.stream_length() == 1

    now = 1_000.0
    monkeypatch.setattr("time.time", lambda: now)
    for host in ("a", "b", "c"):
        monkeypatch.setattr("socket.gethostname", lambda name=host: name)
        workspace_guard.note_refusal(client, "wrong key")
        now += 40
    assert [name.split(b":")[0] for name in client.hgetall(PREFIX + "refusing")] == [b"b", b"c"]


def test_files_of_killed_workers_are_removed_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    probe.write("killed", {"pid": 2**22 + 1})
    probe.write("runs", {"pid": os.getpid()})
    probe.remove_stale()
    assert len(os.listdir(probe.folder())) == 2
    later = time.time() + 2 * probe.STALE_S
    monkeypatch.setattr("time.time", lambda: later)
    probe.remove_stale()
    assert os.listdir(probe.folder()) == ["runs.json"]
