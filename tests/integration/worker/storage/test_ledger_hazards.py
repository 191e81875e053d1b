"""What operators, clocks, locks and interruptions do to the ledger's partitions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from unittest.mock import patch

import pytest
import sqlalchemy as sa

from tests.support.harness import Harness
from tests.support.in_process_worker import FakeApi, Worker, people_of
from trackrelay.operations.ids import first_id_of, new_id
from trackrelay.worker.maintenance import retention
from trackrelay.worker.maintenance.retention import prune_ledger
from trackrelay.worker.settings import sqlalchemy_url
from trackrelay.worker.storage import (
    ledger,
    ledger_layout,
    ledger_partitions,
    ledger_rotation,
)
from trackrelay.worker.storage.ledger_layout import ForeignPartitionError
from trackrelay.worker.storage.ledger_periods import day_at
from trackrelay.worker.storage.queries.server_facts import prunable
from trackrelay.worker.storage.stored_job import Job

DAY = timedelta(days=1)
MONTH = 30 * DAY


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(
        sqlalchemy_url(database_url), connect_args={"options": "-c lock_timeout=300"}
    )
    yield engine
    engine.dispose()


def run(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def value(engine: sa.Engine, query: str, **parameters: object) -> object:
    with engine.connect() as connection:
        return connection.execute(sa.text(query), parameters).scalar()


def record(engine: sa.Engine, *ids: str) -> int:
    jobs = [
        Job(
            id=id, operation="person.event", keys=("id:42",), body=b"{}", enqueued_at=time.time(),
            shards=(0,), lane="live", source="shop", age_from=time.time(),
        )
        for id in ids
    ]  # fmt: skip
    with engine.begin() as connection:
        return len(ledger.record(connection, jobs))


def names(engine: sa.Engine, kind: str = "") -> list[str]:
    with engine.connect() as connection:
        present = ledger_partitions.read(connection)
    return [each.name for each in [*present.days, *present.untimed] if kind in each.name]


def of_today(engine: sa.Engine) -> str:
    today = day_at(time.time())
    return f"trackrelay_ledger_day_{ledger_partitions.date_of(today):%Y%m%d}"


def problem(engine: sa.Engine, ahead_s: float = 0.0) -> str | None:
    with engine.connect() as connection:
        return ledger_partitions.problem(connection, time.time() + ahead_s if ahead_s else None)


@contextmanager
def held(engine: sa.Engine, statement: str) -> Iterator[None]:
    """Another session, in a transaction that does not end."""
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
        yield


def leave_half_detached(engine: sa.Engine, name: str) -> None:
    """What an interrupted `DETACH … CONCURRENTLY` leaves."""
    alone = engine.execution_options(isolation_level="AUTOCOMMIT")
    with (
        held(engine, "SELECT count(*) FROM trackrelay_ledger"),
        alone.connect() as operator,
        pytest.raises(sa.exc.OperationalError),
    ):
        operator.exec_driver_sql(
            f"ALTER TABLE trackrelay_ledger DETACH PARTITION {name} CONCURRENTLY"
        )


def test_jobs_are_settled_at_once_after_an_operator_detached_the_partition_of_today(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    (person,) = people_of(0, 1)
    jobs = [harness.producer.track(person, "before")]
    worker.run_shard(0, 0.2)
    run(
        harness.engine,
        f"ALTER TABLE trackrelay_ledger DETACH PARTITION {of_today(harness.engine)}",
    )
    jobs = [harness.producer.track(person, name) for name in ("first", "second")]
    worker.run_shard(0, 0.2)
    assert harness.ledger_ids() == set(jobs)
    assert api.taken == ["before", "first", "second"]
    assert not harness.dead_ids()
    # A new one of the same days would make it impossible to attach the other one again.
    ledger_rotation.make_ahead(harness.engine, MONTH)
    run(harness.engine, *_attached_again(harness.engine))
    assert len(harness.ledger_ids()) == 3


def _attached_again(engine: sa.Engine) -> list[str]:
    today = day_at(time.time())
    return [
        f"ALTER TABLE trackrelay_ledger ATTACH PARTITION {of_today(engine)} "
        f"FOR VALUES FROM ({today}) TO ({today + 1})"
    ]


def test_a_half_detached_partition_holds_up_nothing_and_is_reported(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    today = of_today(harness.engine)
    impatient = sa.create_engine(
        harness.engine.url, connect_args={"options": "-c lock_timeout=200"}
    )
    leave_half_detached(impatient, today)
    (person,) = people_of(0, 1)
    job = harness.producer.track(person, "ordered")
    worker.run_shard(0, 0.2)
    assert harness.ledger_ids() == {job}
    assert api.taken == ["ordered"]
    found = problem(harness.engine)
    assert found is not None
    assert f"{today} of the ledger is half detached" in found
    prune_ledger(harness.engine, MONTH, MONTH)
    with pytest.raises(ForeignPartitionError, match="FINALIZE"):
        ledger_layout.unpartition(harness.engine, lambda step: None, known_after_s=0)
    run(
        harness.engine,
        f"ALTER TABLE trackrelay_ledger DETACH PARTITION {today} FINALIZE",
        *_attached_again(harness.engine),
    )
    assert problem(harness.engine) is None
    impatient.dispose()


def test_a_form_is_not_sent_again_while_the_partition_of_its_row_takes_no_rows(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    form = harness.producer.submit_form("f", people_of(0, 1)[0], {"a": "1"})
    # As CREATE INDEX does.
    with held(harness.engine, f"LOCK TABLE {of_today(harness.engine)} IN SHARE MODE"):
        for _ in range(4):
            with pytest.raises(sa.exc.OperationalError):
                worker.run_shard(0, 0.2)
        assert len(api.sent) == 1
    worker.run_shard(0, 0.2)
    assert harness.ledger_ids() == {form}
    assert len(api.sent) == 2


def test_nobody_waits_for_a_lock_on_a_partition_that_is_not_needed(engine: sa.Engine) -> None:
    oldest = names(engine, "_day_")[0]
    # As VACUUM FULL does, for hours.
    with held(engine, f"LOCK TABLE {oldest} IN ACCESS EXCLUSIVE MODE"):
        ledger_partitions.forget_known(engine)
        assert record(engine, new_id()) == 1
        assert problem(engine) is None
        ledger_rotation.make_ahead(engine, MONTH)


def test_days_without_partitions_between_others_are_reported_and_made(engine: sa.Engine) -> None:
    ledger_rotation.make_ahead(engine, MONTH)
    after = [each for each in names(engine, "_day_") if each > of_today(engine)][:-1]
    run(engine, *(f"DROP TABLE {each}" for each in after))
    ledger_partitions.forget_known(engine)
    missing = ledger_partitions.date_of(day_at(time.time()) + 1)
    assert f"has no partitions for {missing:%Y-%m-%d};" in (problem(engine) or "")
    prune_ledger(engine, MONTH, MONTH)
    assert problem(engine) is None
    assert set(names(engine)) >= set(after)


def test_a_process_whose_clock_is_wrong_drops_nothing_and_makes_what_others_make(
    engine: sa.Engine,
) -> None:
    ledger_rotation.make_ahead(engine, MONTH)
    present, real = names(engine), time.time
    for days in (-400, 60, 4000):
        with patch("time.time", lambda days=days: real() + days * 86_400):
            assert prune_ledger(engine, MONTH, MONTH) == 0
            job = new_id()
            assert record(engine, job) == 1
            assert record(engine, job) == 0
        assert names(engine) == present


def test_nothing_is_old_before_both_clocks_say_so(engine: sa.Engine) -> None:
    ledger_layout.unpartition(engine, lambda step: None, known_after_s=0)
    record(engine, new_id())
    ledger_layout.partition(engine, MONTH, lambda step: None)
    moved = "SET delivered_at = delivered_at - interval '31 days'"
    run(engine, f"UPDATE trackrelay_ledger_before {moved}")
    real = time.time
    # As if Postgres' clock was ahead.
    with patch("time.time", lambda: real() - 20 * 86_400):
        assert prune_ledger(engine, MONTH, MONTH) == 0
    assert value(engine, "SELECT count(*) FROM trackrelay_ledger_before") == 1
    prune_ledger(engine, MONTH, MONTH)
    assert value(engine, "SELECT to_regclass('trackrelay_ledger_before')") is None


def test_a_lock_on_one_table_prevents_no_other_maintenance(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_rotation, "LOCK_TIMEOUT_MS", 50)
    first = names(engine, "_day_")[0]
    assert ledger_rotation.detach(engine, first)
    with held(engine, f"LOCK TABLE {first} IN ACCESS EXCLUSIVE MODE"):
        with pytest.raises(sa.exc.OperationalError):  # who asked for it learns of it
            prune_ledger(engine, MONTH, MONTH)
        assert problem(engine, 5 * 86_400) is None
    prune_ledger(engine, MONTH, MONTH)
    assert first in names(engine)  # dropped, and made again


def test_two_processes_that_drop_the_same_partition_do_not_disturb_each_other(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = names(engine, "_day_")
    look = ledger_rotation.has_young_rows

    def look_late(connection: sa.Connection, name: str, retention: timedelta) -> bool:
        other = sa.create_engine(engine.url)
        run(other, f"DROP TABLE {name}")
        other.dispose()
        return look(connection, name, retention)

    monkeypatch.setattr(ledger_rotation, "has_young_rows", look_late)
    prune_ledger(engine, DAY, DAY)
    assert first not in names(engine)
    assert record(engine, new_id()) == 1


def test_a_row_that_comes_while_its_partition_is_being_dropped_keeps_it(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *_ = names(engine, "_day_")
    job = first_id_of(int((time.time() - 3 * 86_400) * 1000))
    monkeypatch.setattr(ledger_rotation, "keep_needed", lambda *_: record(engine, job))
    prune_ledger(engine, DAY, DAY)
    assert first in names(engine)
    assert record(engine, job) == 0


def test_a_detached_partition_with_young_rows_stays_and_is_logged(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(engine, new_id())
    assert ledger_rotation.detach(engine, of_today(engine))
    logged: list[dict[str, object]] = []
    monkeypatch.setattr(
        retention.log, "warning", lambda event, **what: logged.append({"event": event, **what})
    )
    prune_ledger(engine, MONTH, MONTH)
    assert logged == [{"event": "ledger_partitions_detached", "partitions": [of_today(engine)]}]
    assert f"{of_today(engine)} was detached" in (problem(engine) or "")


def test_an_interrupted_removal_of_partitions_is_reported_until_it_ends_either_way(
    engine: sa.Engine,
) -> None:
    job = new_id()
    record(engine, job)

    def interrupt(step: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ledger_layout.unpartition(engine, interrupt, known_after_s=0)
    assert "is losing its partitions" in (problem(engine) or "")
    assert ledger_layout.partition(engine, MONTH, lambda step: None)
    assert problem(engine) is None
    assert record(engine, job, new_id()) == 1


def test_rows_of_a_partition_that_somebody_else_made_are_not_dropped(engine: sa.Engine) -> None:
    run(
        engine,
        "CREATE TABLE others PARTITION OF trackrelay_ledger DEFAULT",
        "INSERT INTO trackrelay_ledger (id, key, operation, enqueued_at, delivered_at, attempts, "
        "period) VALUES ('other', 'id:1', 'person.event', now(), now(), 1, 999999)",
    )
    with pytest.raises(ForeignPartitionError, match="others is a partition that trackrelay did"):
        ledger_layout.unpartition(engine, lambda step: None, known_after_s=0)
    assert value(engine, "SELECT count(*) FROM others") == 1
    assert problem(engine) is None


def test_a_row_of_a_worker_that_had_been_stopped_for_long_prevents_no_partitions(
    engine: sa.Engine,
) -> None:
    ledger_layout.unpartition(engine, lambda step: None, known_after_s=0)
    record(engine, new_id())
    run(engine, "UPDATE trackrelay_ledger SET period = 20000")
    assert ledger_layout.partition(engine, MONTH, lambda step: None)
    assert value(engine, "SELECT count(*) FROM trackrelay_ledger_before") == 1


def test_a_dry_run_counts_no_partition_with_young_rows(engine: sa.Engine) -> None:
    ledger_layout.unpartition(engine, lambda step: None, known_after_s=0)
    record(engine, *(new_id() for _ in range(5)))
    ledger_layout.partition(engine, MONTH, lambda step: None)
    run(engine, "ANALYZE trackrelay_ledger")
    with engine.connect() as connection:
        assert prunable(connection, MONTH, MONTH) == 0


@pytest.fixture
def owned_by_another(engine: sa.Engine) -> Iterator[str]:
    """The tables belong to a role, and this user is another one: a superuser."""
    role = f"owner_{new_id().lower()}"
    everything = sa.text(
        "SELECT format('ALTER TABLE %s OWNER TO', CAST(c.oid AS regclass)) FROM pg_class c "
        "WHERE relname LIKE 'trackrelay%' AND relkind IN ('r', 'p')"
    )
    run(engine, f"CREATE ROLE {role} NOLOGIN", f"GRANT CREATE ON SCHEMA public TO {role}")
    with engine.begin() as connection:
        for statement in connection.execute(everything).scalars().all():
            connection.exec_driver_sql(f"{statement} {role}")
    yield role
    run(engine, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_what_another_user_makes_belongs_to_the_owner_of_the_ledger(
    engine: sa.Engine, owned_by_another: str
) -> None:
    # This user may have a schema of its own name, which comes first for new tables.
    run(engine, "CREATE SCHEMA AUTHORIZATION CURRENT_USER")
    ledger_layout.unpartition(engine, lambda step: None, known_after_s=0)
    ledger_layout.partition(engine, MONTH, lambda step: None)
    ledger_rotation.make_ahead(engine, MONTH, ahead_days=9)
    places = value(
        engine,
        "SELECT array_agg(DISTINCT CAST(relnamespace AS regnamespace) || '.' || "
        "CAST(relowner AS regrole)) FROM pg_class "
        "WHERE relname ~ '^trackrelay_ledger' AND relkind IN ('r', 'p')",
    )
    assert places == [f"public.{owned_by_another}"]
    worker = sa.create_engine(engine.url)
    sa.event.listen(
        worker, "begin", lambda it: it.exec_driver_sql(f"SET LOCAL ROLE {owned_by_another}")
    )
    assert record(worker, new_id()) == 1
    worker.dispose()


class _Killed(BaseException):
    """Ends a process between two statements."""


@pytest.mark.parametrize("step", [2, 8, 15, 24, 33])
def test_layout_changes_that_are_killed_after_any_statement_go_on_where_they_stopped(
    engine: sa.Engine, step: int
) -> None:
    """Walked through whole by hand: `for step in range(200)`."""
    ids = [new_id() for _ in range(5)]
    record(engine, *ids)
    for change in (_unpartition, _partition):
        _killed_after(engine, step, change)
        assert record(engine, *ids) == 0
        change(engine)
        ids.append(new_id())
        assert record(engine, *ids) == 1
        assert value(engine, "SELECT count(*) FROM trackrelay_ledger") == len(ids)
    assert problem(engine) is None


def _unpartition(engine: sa.Engine) -> None:
    ledger_layout.unpartition(engine, lambda step: None, known_after_s=0)


def _partition(engine: sa.Engine) -> None:
    ledger_layout.partition(engine, MONTH, lambda step: None)


def _killed_after(engine: sa.Engine, statements: int, change: object) -> None:
    doomed, left = sa.create_engine(engine.url), [statements]

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise _Killed

    sa.event.listen(doomed, "before_cursor_execute", count)
    try:
        change(doomed)  # type: ignore[operator]
    except _Killed:
        pass
    finally:
        doomed.dispose()
    ledger_partitions.forget_known(engine)
