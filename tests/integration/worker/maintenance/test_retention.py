"""Pruning the ledger: by age, but never what an open dead letter could be replayed past."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from trackrelay.worker.maintenance.retention import prune_ledger
from trackrelay.worker.settings import sqlalchemy_url

DAY = timedelta(days=1)


@pytest.fixture
def engine(database_url: str) -> sa.Engine:
    return sa.create_engine(sqlalchemy_url(database_url), poolclass=sa.NullPool)


def deliver(engine: sa.Engine, job: str, operation: str, days_ago: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO trackrelay_ledger (id, key, operation, enqueued_at, delivered_at, "
                "attempts) VALUES "
                "(:id, 'id:42', :operation, now() - make_interval(days => :days), "
                "now() - make_interval(days => :days), 1)"
            ),
            {"id": job, "operation": operation, "days": days_ago},
        )


def die(engine: sa.Engine, job: str, days_ago: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO trackrelay_dead_letters (job_id, key, operation, lane, reason, "
                "attempts, state, enqueued_at, "
                "died_at, updated_at, history) VALUES (:id, 'id:42', 'person.event', 'live', "
                "'rejected', 1, 'open', "
                "now() - make_interval(days => :days), now(), now(), '[]')"
            ),
            {"id": job, "days": days_ago},
        )


def left(engine: sa.Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(sa.text("SELECT id FROM trackrelay_ledger")).scalars())


def test_what_was_delivered_long_ago_goes_and_the_rest_stays(engine: sa.Engine) -> None:
    deliver(engine, "old", "person.event", 40)
    deliver(engine, "young", "person.event", 5)
    deliver(engine, "deletion", "person.delete", 40)
    assert prune_ledger(engine, 30 * DAY, 90 * DAY) == 1
    assert left(engine) == {"young", "deletion"}


def test_a_deletion_stays_as_long_as_a_dead_letter_is_older(engine: sa.Engine) -> None:
    deliver(engine, "deletion", "person.delete", 200)
    die(engine, "letter", 201)
    assert prune_ledger(engine, 30 * DAY, 90 * DAY) == 0
    with engine.begin() as connection:
        # It can still be replayed: `trackrelay replay --state discarded`.
        connection.execute(sa.text("UPDATE trackrelay_dead_letters SET state = 'discarded'"))
    assert prune_ledger(engine, 30 * DAY, 90 * DAY) == 0
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE trackrelay_dead_letters SET state = 'delivered'"))
    assert prune_ledger(engine, 30 * DAY, 90 * DAY) == 1
