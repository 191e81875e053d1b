"""Workers note names and types of what they deliver, and never a value."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from tests.support.harness import Harness
from tests.support.in_process_worker import Worker
from trackrelay.worker.quality.catalog import catalog_of
from trackrelay.worker.quality.catalog_observer import OBSERVED, Observation, Subject
from trackrelay.worker.quality.state_notes import state_type
from trackrelay.worker.storage import catalog_rows
from trackrelay.worker.storage.catalog_tables import CATALOG
from trackrelay.worker.storage.queries.catalog_query import catalog_days
from trackrelay.worker.storage.queries.catalog_query import catalog_rows as catalog_rows_of


def rows(harness: Harness) -> dict[tuple[str, str, str, str], Any]:
    """The catalog by operation, name, path and type."""
    with harness.engine.connect() as connection:
        found = connection.execute(sa.select(CATALOG)).all()
    return {(row.operation, row.name, row.path, row.type): row for row in found}


def deliver(harness: Harness, worker: Worker, expected: int) -> None:
    worker.work_off(lambda: len(harness.ledger_ids()) >= expected)
    assert worker.resources.observer
    worker.resources.observer.flush()


def test_names_and_types_of_delivered_jobs_are_counted(harness: Harness, worker: Worker) -> None:
    harness.producer.track("42", "order_completed", {"total": 12.5, "items": [{"sku": "A-1"}]})
    harness.producer.track("42", "order_completed", {"total": "12.50", "items": []})
    harness.producer.identify("42", {"plan": "pro", "since": 1_700_000_000})
    deliver(harness, worker, 3)
    counts = {key: row.count for key, row in rows(harness).items()}
    event = ("person.event", "order_completed")
    assert counts[*event, "", "job"] == 2
    assert counts[*event, "total", "number"] == 1
    assert counts[*event, "total", "number in a string"] == 1
    assert counts[*event, "items", "list"] == 2
    assert counts[*event, "items[].sku", "string"] == 1
    assert counts["person.identify", "", "since", "unix seconds"] == 1
    assert counts["person.identify", "", "", "seen"] == 1


def test_a_job_of_two_shards_is_counted_once(harness: Harness, worker: Worker) -> None:
    for number in range(8):
        harness.producer.identify(str(number), {"plan": "pro"}, anonymous_id=f"visitor-{number}")
    deliver(harness, worker, 8)
    counts = {key: row.count for key, row in rows(harness).items()}
    assert counts["person.identify", "", "plan", "string"] == 8
    assert counts["person.identify", "", "", "seen"] == 8


def test_a_second_flush_adds_to_the_first(harness: Harness, worker: Worker) -> None:
    harness.producer.track("42", "viewed", {"page": "a"})
    deliver(harness, worker, 1)
    harness.producer.track("42", "viewed", {"page": "b", "new": True})
    deliver(harness, worker, 2)
    found = rows(harness)
    page, new = (
        found["person.event", "viewed", path, kind]
        for path, kind in (("page", "string"), ("new", "boolean"))
    )
    assert (page.count, page.first_at, page.last_at) == (2, 0, 2)
    assert (new.count, new.first_at, new.last_at) == (1, 1, 2)


def test_pauses_days_and_positions_are_those_of_the_writes(harness: Harness) -> None:
    subject = Subject("shop", "person.event", "order_completed")

    def write(*observations: Observation) -> None:
        catalog_rows.add(harness.engine, observations, OBSERVED)

    write(Observation(subject, "", OBSERVED, 30), Observation(subject, "total", "number", 20))
    with harness.engine.begin() as connection:
        for table, column in (("catalog", "last_seen"), ("catalog", "first_seen")):
            connection.execute(
                sa.text(f"UPDATE trackrelay_{table} SET {column} = {column} - interval '3 h'")
            )
        connection.execute(sa.text("UPDATE trackrelay_catalog_days SET day = day - 2"))
    write(Observation(subject, "", OBSERVED, 10), Observation(subject, "total", "null", 10))
    # Of these events nothing but a change of the person is known yet.
    write(Observation(subject, "", state_type("orders_count"), 5))

    with harness.engine.connect() as connection:
        catalog = catalog_of(catalog_rows_of(connection), catalog_days(connection, OBSERVED))
    stats = catalog.subjects[subject]
    assert 3 * 3_600 <= stats.longest_gap_s < 4 * 3_600
    assert sorted(stats.days.values()) == [10, 30]
    earlier, today = sorted(stats.days)
    assert today - earlier == 2
    # Few nulls say nothing by the day.
    assert stats.attributes["total"].days == {earlier: 20}
    assert (stats.states["orders_count"].first_at, stats.states["orders_count"].last_at) == (40, 40)


def test_no_value_reaches_the_catalog(harness: Harness, worker: Worker) -> None:
    given = {"card": "canary-4111", "n": 8_675_309, "order_id": "canary-order-7"}
    harness.producer.track("canary-42", "order_completed", given)
    harness.producer.track("canary-42", "order_completed", given | {"n": 1})
    deliver(harness, worker, 2)
    texts = str(list(rows(harness).values()))
    assert "order again" in texts
    assert "canary" not in texts
    assert "8675309" not in texts


def test_a_sender_that_invents_names_does_not_fill_the_table(
    harness: Harness, worker: Worker, monkeypatch: Any
) -> None:
    monkeypatch.setattr(catalog_rows, "MAX_SOURCE_ROWS", 50)
    for number in range(200):
        harness.producer.track("42", f"event_{number}", {f"name_{number}": 1})
    deliver(harness, worker, 200)
    found = rows(harness)
    assert len(found) <= 52
    assert found["", "", "", catalog_rows.NO_ROOM].count > 0


def test_while_postgres_refuses_the_catalog_jobs_are_delivered_and_counts_stay(
    harness: Harness, worker: Worker
) -> None:
    observer = worker.resources.observer
    assert observer
    with harness.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE trackrelay_catalog RENAME TO away"))
    harness.producer.track("42", "viewed", {"page": "a"})
    worker.work_off(lambda: len(harness.ledger_ids()) == 1)
    observer.flush()
    with harness.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO trackrelay_catalog"))
    observer.flush()
    assert rows(harness)["person.event", "viewed", "page", "string"].count == 1
