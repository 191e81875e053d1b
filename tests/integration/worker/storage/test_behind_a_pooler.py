"""Behind PgBouncer in transaction mode: we keep nothing in a session."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from tests.support.harness import Harness
from tests.support.pooler import pooler
from trackrelay.worker.queue.bootstrap import migrate
from trackrelay.worker.settings import load
from trackrelay.worker.storage.advisory_lock import advisory_lock
from trackrelay.worker.storage.engine import LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS, make_engine

ADVISORY_LOCKS = """
    SELECT 1 FROM pg_locks JOIN pg_database ON oid = database
    WHERE locktype = 'advisory' AND datname = current_database()
"""


@pytest.fixture(params=["refused", "ignored"])
def pooled_settings(
    request: pytest.FixtureRequest, worker_settings: dict[str, str]
) -> Iterator[dict[str, str]]:
    """Settings that lead through a pooler that refuses, or ignores, what it does not know."""
    unknown: Literal["refused", "ignored"] = request.param
    with pooler(worker_settings["TRACKRELAY_DATABASE_URL"], unknown) as url:
        yield worker_settings | {"TRACKRELAY_DATABASE_URL": url}


def engine_of(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> sa.Engine:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return make_engine(load())


def value(connection: sa.Connection, setting: str) -> Any:
    return connection.exec_driver_sql(
        f"SELECT setting FROM pg_settings WHERE name = '{setting}'"
    ).scalar_one()


def test_a_worker_delivers_through_a_pooler(
    pooled_settings: dict[str, str],
    sandbox: Any,
    start_worker: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = Harness(pooled_settings, sandbox.client)
    engine = engine_of(pooled_settings, monkeypatch)
    migrate(engine, harness.redis, 4)
    start_worker(pooled_settings)
    harness.wait_delivered([harness.producer.track(str(person), "seen") for person in range(20)])
    engine.dispose()
    harness.close()


def test_every_transaction_has_its_bounds_and_leaves_the_session_as_it_was(
    pooled_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(pooled_settings, monkeypatch)
    for _ in range(2):
        with engine.begin() as connection:
            assert value(connection, "statement_timeout") == str(STATEMENT_TIMEOUT_MS)
            assert value(connection, "lock_timeout") == str(LOCK_TIMEOUT_MS)
    bare = engine.raw_connection()
    with bare.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)
    bare.close()
    engine.dispose()


def test_without_a_pooler_the_session_has_the_bounds(
    worker_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(worker_settings, monkeypatch)
    bare = engine.raw_connection()
    with bare.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("30s",)
    bare.close()
    engine.dispose()


def test_no_statement_is_prepared_in_a_session(
    worker_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(worker_settings, monkeypatch)
    for number in range(20):
        with engine.begin() as connection:
            connection.execute(sa.text("SELECT CAST(:number AS int)"), {"number": number})
            assert (
                connection.exec_driver_sql(
                    "SELECT count(*) FROM pg_prepared_statements"
                ).scalar_one()
                == 0
            )
    engine.dispose()


def test_the_advisory_lock_has_one_holder_and_ends_with_its_transaction(
    worker_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(worker_settings, monkeypatch)
    with (
        advisory_lock(engine, "reshard", wait_s=0) as mine,
        advisory_lock(engine, "reshard", wait_s=0) as too,
    ):
        assert (mine, too) == (True, False)
    with advisory_lock(engine, "reshard", wait_s=5) as again, engine.connect() as connection:
        assert again
        # A session's lock would pass to the session's next user.
        connection.exec_driver_sql(ADVISORY_LOCKS).one()
    with engine.connect() as connection:
        assert connection.exec_driver_sql(ADVISORY_LOCKS).all() == []
    engine.dispose()


def test_another_failure_to_connect_is_not_tried_again(
    worker_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = sa.make_url(worker_settings["TRACKRELAY_DATABASE_URL"]).set(database="nowhere")
    url = nowhere.render_as_string(hide_password=False)
    engine = engine_of(worker_settings | {"TRACKRELAY_DATABASE_URL": url}, monkeypatch)
    with pytest.raises(OperationalError, match="nowhere"):
        engine.connect()
    engine.dispose()
