"""While nothing can be settled, what has no id at Customer.io is not sent again and again."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import SQLAlchemyError

from tests.support.harness import Harness
from tests.support.in_process_worker import FakeApi, Worker, expire_lease, make_due, people_of

FULL = """
    CREATE FUNCTION disk_is_full() RETURNS trigger AS $$ BEGIN
        RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
    END $$ LANGUAGE plpgsql
"""


def fill_disk(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        connection.exec_driver_sql(FULL)
        connection.exec_driver_sql(
            "CREATE TRIGGER full_disk BEFORE INSERT ON trackrelay_ledger FOR EACH ROW EXECUTE "
            "FUNCTION disk_is_full()"
        )


def free_disk(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER full_disk ON trackrelay_ledger")


def hold_in_vain(worker: Worker, times: int) -> None:
    for _ in range(times):
        with pytest.raises(SQLAlchemyError):
            worker.run_shard(0, 0.2)


def test_a_form_is_sent_once_while_the_disk_is_full_and_once_more_after(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    fill_disk(harness)
    form = harness.producer.submit_form("f", people_of(0, 1)[0], {"a": "1"})
    hold_in_vain(worker, 12)
    assert len(api.sent) == 1
    free_disk(harness)
    worker.run_shard(0, 0.2)
    assert harness.ledger_ids() == {form}
    assert len(api.sent) == 2
    assert not harness.dead_ids()


def test_the_same_out_of_the_backlog(harness: Harness, api: FakeApi, worker: Worker) -> None:
    worker.breaker.halt("credentials", "for the test")
    forms = {harness.producer.submit_form("f", person, {"a": "1"}) for person in people_of(0, 3)}
    worker.run_shard(0, 0.2)
    assert harness.backlog_size() == 3
    worker.breaker.resumed()
    fill_disk(harness)
    make_due(harness.engine)
    hold_in_vain(worker, 8)
    assert len(api.sent) <= 3
    free_disk(harness)
    worker.work_off(lambda: harness.ledger_ids() == forms)
    assert len(api.sent) <= 6


def test_a_successor_in_another_process_proves_it_too(
    harness: Harness, api: FakeApi, worker: Worker
) -> None:
    successor = Worker(harness.settings, api)
    fill_disk(harness)
    form = harness.producer.submit_form("f", people_of(0, 1)[0], {"a": "1"})
    hold_in_vain(worker, 1)
    expire_lease(harness.redis, 0)
    hold_in_vain(successor, 6)
    assert len(api.sent) == 1
    free_disk(harness)
    successor.work_off(lambda: harness.ledger_ids() == {form})
    successor.close()
