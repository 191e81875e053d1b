"""``trackrelay migrate``."""

import logging

import pytest
import redis

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from trackrelay.worker.maintenance.heartbeat_keys import WORKERS_KEY
from trackrelay.worker.storage import schema


@pytest.fixture
def empty(run: CommandLine, empty_database_url: str) -> CommandLine:
    """The command line on an empty database."""
    run.settings["TRACKRELAY_DATABASE_URL"] = empty_database_url
    return run


def test_it_makes_tables_and_queue_and_a_second_run_changes_nothing(empty: CommandLine) -> None:
    first = empty("migrate", TRACKRELAY_SHARDS="3")
    second = empty("migrate")

    assert first.out.splitlines() == [
        f"Postgres: tables created, revision {schema.head()}",
        "Redis:    queue set up: 3 shards, format 1",
    ]
    assert second.out.splitlines() == [
        f"Postgres: tables are already at revision {schema.head()}",
        "Redis:    the queue is already set up: 3 shards, format 1",
    ]
    assert (first.code, second.code) == (0, 0)


def test_taking_the_tables_away_is_asked_about_and_says_what_would_be_lost(
    harness: Harness, run: CommandLine
) -> None:
    harness.producer.track("42", "greeted")

    declined = run("migrate", "--down", "base", input="n\n")

    assert declined.code == 1
    assert f"from revision {schema.head()} to base" in declined.err
    assert run("status").code == 0


def test_taking_the_tables_away_leaves_nothing_and_can_be_made_good(
    harness: Harness, run: CommandLine
) -> None:
    assert run("migrate", "--down", "base", "--yes").out == "Postgres: tables removed\n"

    assert not [
        row
        for row in harness.rows("SELECT relname FROM pg_class WHERE relname LIKE 'trackrelay_%'")
        if row.relname != "trackrelay_alembic_version" and not row.relname.endswith("_pkc")
    ]
    assert run("migrate").out.startswith("Postgres: tables created")


def test_tables_are_not_taken_from_under_a_running_worker(
    harness: Harness, run: CommandLine
) -> None:
    _show_worker(harness.redis)

    assert run("migrate", "--down", "base", "--yes").only_line() == (
        "celery@somewhere still running on these tables: stop the workers first"
    )


def test_an_unknown_revision_is_reported(harness: Harness, run: CommandLine) -> None:
    assert "'9999'" in run("migrate", "--down", "9999", "--yes").only_line()


def test_tables_of_a_newer_version_stay_unchanged(harness: Harness, run: CommandLine) -> None:
    with harness.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trackrelay_alembic_version SET version_num = 'abcd'")

    answer = run("migrate")

    assert "at revision abcd of a newer trackrelay, and were not changed" in answer.out
    assert answer.code == 0


def _show_worker(client: redis.Redis) -> None:
    client.zadd(WORKERS_KEY, {"celery@somewhere": 4_000_000_000})
    client.set("trackrelay:workers:celery@somewhere", "{}")


def test_asking_for_the_revision_logs_nothing(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    """An application that logs at INFO had two lines of Alembic's above each `status`."""
    caplog.set_level(logging.INFO)
    with harness.engine.connect() as connection:
        assert schema.current(connection) == schema.head()
    assert [record for record in caplog.records if record.name.startswith("alembic")] == []
