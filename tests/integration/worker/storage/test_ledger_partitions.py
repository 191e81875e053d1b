"""The ledger's partitions: each id once, nothing too old, no long lock, there and back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from trackrelay.operations.ids import first_id_of, id_for, new_id
from trackrelay.worker.maintenance.retention import prune_ledger
from trackrelay.worker.settings import sqlalchemy_url
from trackrelay.worker.storage import (
    ledger,
    ledger_layout,
    ledger_partitions,
    ledger_rotation,
    schema,
)
from trackrelay.worker.storage.ledger_periods import BEFORE, day_at
from trackrelay.worker.storage.stored_job import Job

DAY = timedelta(days=1)
MONTH = 30 * DAY


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(sqlalchemy_url(database_url))
    yield engine
    engine.dispose()


@pytest.fixture
def plain(engine: sa.Engine) -> sa.Engine:
    """A database whose ledger had rows when the column of periods came."""
    ledger_layout.unpartition(engine, lambda step: None, known_after_s=0)
    return engine


def job(id: str) -> Job:
    return Job(
        id=id, operation="person.event", keys=("id:42",), body=b"{}", enqueued_at=time.time(),
        shards=(0,), lane="live", source="shop", age_from=time.time(),
    )  # fmt: skip


def record(engine: sa.Engine, *ids: str) -> int:
    with engine.begin() as connection:
        return len(ledger.record(connection, [job(id) for id in ids]))


def partition_of(engine: sa.Engine, id: str) -> list[str]:
    with engine.connect() as connection:
        found = sa.text(
            "SELECT CAST(tableoid AS regclass)::text FROM trackrelay_ledger WHERE id = :id"
        )
        return list(connection.execute(found, {"id": id}).scalars())


def age(engine: sa.Engine, table: str, days: int) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE {table} SET delivered_at = delivered_at - interval '{days} days'"
        )


def partitions(engine: sa.Engine) -> set[str]:
    with engine.connect() as connection:
        return {each.name for each in ledger_partitions.read(connection).all}


def old_id(days_ago: int) -> str:
    return first_id_of(int((time.time() - days_ago * 86_400) * 1000))[:-4] + "ABCD"


def test_an_id_of_today_is_in_todays_partition_and_a_derived_one_is_not(engine: sa.Engine) -> None:
    fresh, derived = new_id(), id_for("person.event", "id:42", "paid", "order-1")
    assert record(engine, fresh, derived, fresh, derived) == 2
    (of_today,), (untimed,) = partition_of(engine, fresh), partition_of(engine, derived)
    assert of_today.startswith("trackrelay_ledger_day_")
    assert untimed.startswith("trackrelay_ledger_untimed_")


@pytest.mark.parametrize("days_ago", [0, 1, 3, 4, 40, 900, 2500, -1, -2, -400])
def test_an_id_of_any_time_is_recorded_once_however_often_it_comes(
    engine: sa.Engine, days_ago: int
) -> None:
    id = old_id(days_ago)
    assert record(engine, id) == 1
    assert record(engine, id) == 0
    with engine.connect() as connection:
        assert ledger.among(connection, [id, new_id()]) == {id}
    assert len(partition_of(engine, id)) == 1


def test_a_repeat_that_belongs_to_another_partition_by_now_is_found_in_the_first(
    engine: sa.Engine,
) -> None:
    ledger_rotation.make_ahead(engine, MONTH)
    derived = id_for("person.event", "id:42", "paid", "order-1")
    record(engine, derived)
    now_in = partition_of(engine, derived)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trackrelay_ledger SET period = period - 7")
    elsewhere = partition_of(engine, derived)
    assert elsewhere != now_in
    assert record(engine, derived) == 0
    assert partition_of(engine, derived) == elsewhere


def test_without_partitions_for_today_deliveries_are_recorded_all_the_same(
    engine: sa.Engine,
) -> None:
    for each in partitions(engine) - {"trackrelay_ledger_kept"}:
        assert ledger_rotation.detach(engine, each)
    id = new_id()
    assert record(engine, id) == 1
    assert record(engine, id) == 0
    assert partition_of(engine, id) == ["trackrelay_ledger_kept"]
    with engine.connect() as connection:
        problem = ledger_partitions.problem(connection, time.time())
    assert problem is not None
    assert "does beat run?" in problem


def test_partitions_are_made_ahead_and_not_twice(engine: sa.Engine) -> None:
    # `migrate` made them: of today and of a week.
    assert len([each for each in partitions(engine) if "_day_" in each]) >= 8
    assert ledger_rotation.make_ahead(engine, MONTH) == []
    week_later = time.time() + 6 * 86_400
    made = ledger_rotation.make_ahead(engine, MONTH, week_later)
    assert len([each for each in made if "_day_" in each]) == 6
    with engine.connect() as connection:
        assert ledger_partitions.problem(connection, week_later + 6 * 86_400) is None
    assert ledger_rotation.make_ahead(engine, MONTH, week_later) == []


def test_a_partition_goes_when_all_its_rows_are_old_and_what_is_needed_stays(
    engine: sa.Engine,
) -> None:
    first = min(each for each in partitions(engine) if "_day_" in each)
    young, old, deletion = new_id(), old_id(3), old_id(3)[:-1] + "E"
    record(engine, young)
    with engine.begin() as connection:
        removal = msgspec.structs.replace(job(deletion), operation="person.delete")
        ledger.record(connection, [job(old), removal])
        connection.execute(
            sa.text(
                "INSERT INTO trackrelay_dead_letters (job_id, key, operation, lane, reason, "
                "attempts, state, enqueued_at, died_at, updated_at, history) VALUES "
                "('letter', 'id:42', 'person.event', 'live', 'rejected', 1, 'open', "
                "now() - interval '900 days', now(), now(), '[]')"
            )
        )
    assert partition_of(engine, old) == partition_of(engine, deletion) == [first]
    retention = timedelta(days=1)
    assert prune_ledger(engine, retention, retention) == 0  # delivered just now
    age(engine, first, 2)
    prune_ledger(engine, retention, retention)
    assert first not in partitions(engine)
    assert partition_of(engine, old) == []
    assert partition_of(engine, deletion) == ["trackrelay_ledger_kept"]
    assert len(partition_of(engine, young)) == 1


def test_a_partition_that_a_long_statement_reads_is_dropped_later_and_delays_nobody(
    engine: sa.Engine,
) -> None:
    first = min(each for each in partitions(engine) if "_day_" in each)
    record(engine, old_id(3))
    age(engine, first, 2)
    with engine.connect() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM trackrelay_ledger")
        prune_ledger(engine, DAY, DAY)
        assert first in partitions(engine)
        assert record(engine, new_id()) == 1
    prune_ledger(engine, DAY, DAY)
    assert first not in partitions(engine)


def test_what_was_detached_and_not_dropped_is_dropped_by_the_next_pruning(
    engine: sa.Engine,
) -> None:
    first = min(each for each in partitions(engine) if "_day_" in each)
    assert ledger_rotation.detach(engine, first)
    prune_ledger(engine, MONTH, MONTH)
    with engine.connect() as connection:
        assert ledger_partitions.detached(connection) == []


def test_a_ledger_with_rows_is_partitioned_and_made_one_table_again_while_jobs_are_recorded(
    plain: sa.Engine,
) -> None:
    earlier = [new_id() for _ in range(50)] + [id_for("person.event", "id:42", "paid", "order-1")]
    assert record(plain, *earlier) == 51
    recorded, ended = list(earlier), threading.Event()

    def deliver() -> None:
        while not ended.is_set():
            ids = [new_id() for _ in range(20)]
            assert record(plain, *ids, *earlier[-3:]) == 20
            recorded.extend(ids)

    def both_ways() -> None:
        assert ledger_layout.partition(plain, MONTH, lambda step: None)
        assert not ledger_layout.partition(plain, MONTH, lambda step: None)
        assert partition_of(plain, earlier[0]) == ["trackrelay_ledger_before"]
        ledger_partitions.forget_known(plain)
        later = new_id()
        record(plain, later)
        assert partition_of(plain, later)[0].startswith("trackrelay_ledger_day_")
        recorded.append(later)
        assert ledger_layout.unpartition(plain, lambda step: None, known_after_s=0)
        assert partition_of(plain, later) == ["trackrelay_ledger"]

    thread = threading.Thread(target=deliver)
    thread.start()
    try:
        both_ways()
    finally:
        ended.set()
        thread.join()
    with plain.connect() as connection:
        stored = connection.execute(sa.text("SELECT id, period FROM trackrelay_ledger")).all()
        names = {each["name"] for each in sa.inspect(connection).get_indexes("trackrelay_ledger")}
        assert sa.inspect(connection).get_pk_constraint("trackrelay_ledger")["name"] == (
            "pk_trackrelay_ledger"
        )
    assert sorted(row.id for row in stored) == sorted(recorded)
    assert {row.period for row in stored} == {BEFORE}
    assert {each.removeprefix("ix_trackrelay_ledger_") for each in names} == {
        "delivered_at", "idempotency_key", "key_enqueued_at", "other_key", "removals"
    }  # fmt: skip


def test_the_rows_of_before_go_as_a_whole_when_they_are_old(plain: sa.Engine) -> None:
    ids = [new_id() for _ in range(10)]
    record(plain, *ids)
    ledger_layout.partition(plain, MONTH, lambda step: None)
    assert record(plain, *ids) == 0
    prune_ledger(plain, MONTH, MONTH)
    assert partition_of(plain, ids[0]) == ["trackrelay_ledger_before"]
    age(plain, "trackrelay_ledger_before", 31)
    prune_ledger(plain, MONTH, MONTH)
    assert "trackrelay_ledger_before" not in partitions(plain)
    assert len(partitions(plain)) > 5


def test_many_partitions_are_searched_for_none_but_their_own_ids(engine: sa.Engine) -> None:
    ids = [new_id() for _ in range(100)]
    with engine.connect() as connection:
        plan = "\n".join(
            connection.execute(
                sa.text(f"EXPLAIN {ledger._AMONG.text}"), ledger.asked(ids)
            ).scalars()
        )
    days = {each for each in partitions(engine) if "_day_" in each and each in plan}
    assert len(days) == 1, plan
    assert day_at(time.time())


def test_workers_that_do_not_own_the_tables_deliver_and_leave_the_partitions_to_their_owner(
    engine: sa.Engine,
) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE ROLE guest NOLOGIN")
        connection.exec_driver_sql(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON trackrelay_ledger, trackrelay_dead_letters "
            "TO guest"
        )
    guest = sa.create_engine(engine.url)
    sa.event.listen(guest, "begin", lambda it: it.exec_driver_sql("SET LOCAL ROLE guest"))
    try:
        id, old = new_id(), "no-ulid"
        assert record(guest, id, id_for("person.event", "id:42", "paid", "1")) == 2
        with engine.begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO trackrelay_ledger (id, key, operation, enqueued_at, delivered_at, "
                    "attempts) VALUES (:id, 'id:42', 'person.event', now(), "
                    "now() - interval '40 days', 1)"
                ),
                {"id": old},
            )
        assert prune_ledger(guest, MONTH, MONTH) == 1
        assert partition_of(guest, old) == []
        with guest.connect() as connection:
            problem = ledger_partitions.problem(connection, time.time() + 9 * 86_400)
        assert problem is not None
        assert "as the owner of the tables" in problem
    finally:
        guest.dispose()
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP OWNED BY guest")
            connection.exec_driver_sql("DROP ROLE guest")


def test_an_installation_whose_workers_may_run_keeps_one_table_even_an_empty_one(
    engine: sa.Engine,
) -> None:
    with engine.connect() as connection:
        schema.downgrade(connection, "0012")
        connection.exec_driver_sql("INSERT INTO trackrelay_shards (shard) VALUES (0)")
        schema.upgrade(connection)
        connection.commit()
    assert partitions(engine) == set()
    ledger_partitions.forget_known(engine)
    id = new_id()
    assert record(engine, id) == 1
    assert partition_of(engine, id) == ["trackrelay_ledger"]
