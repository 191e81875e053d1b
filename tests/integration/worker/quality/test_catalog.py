"""Workers note names and types of what they deliver, and never a value."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from tests.support.harness import Harness
from tests.support.in_process_worker import Worker
from trackrelay.worker.storage import catalog_rows
from trackrelay.worker.storage.catalog_tables import CATALOG


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
