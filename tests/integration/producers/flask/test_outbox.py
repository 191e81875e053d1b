"""With Flask-SQLAlchemy, jobs are rows of the transaction, and a rollback removes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import redis
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask_sqlalchemy import SQLAlchemy

from tests.support.flask_server import serving
from tests.support.outbox import relay_once
from tests.support.waiting import wait_until
from trackrelay import ConfigurationError, InvalidOperationError, aio, track
from trackrelay.flask import TrackRelay
from trackrelay.outbox import table

Rows = Callable[[], list[Any]]


@pytest.fixture(params=["postgresql", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The application's database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'app.db'}"
    return str(request.getfixturevalue("empty_database_url")).replace(
        "postgresql://", "postgresql+psycopg://"
    )


@pytest.fixture
def app(url: str) -> Iterator[flask.Flask]:
    """A shop whose jobs go through the outbox. No Redis is configured, and none is needed."""
    db = SQLAlchemy()
    relay = TrackRelay(db=db)

    class Order(db.Model):  # type: ignore[name-defined,misc]
        id = db.Column(db.Integer, primary_key=True)

    app = flask.Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)
    relay.init_app(app)

    @app.get("/order")
    def order() -> str:
        db.session.add(Order())
        job = relay.outbox.track("42", "order_completed", person_attributes={"orders": 1})
        track("42", "page_seen")
        db.session.commit()
        return job

    @app.get("/rolled-back")
    def rolled_back() -> str:
        db.session.add(Order())
        relay.outbox.track("42", "order_completed")
        db.session.rollback()
        return ""

    @app.get("/breaks")
    def breaks() -> str:
        relay.outbox.track("42", "order_completed")
        db.session.flush()
        raise RuntimeError

    @app.get("/half")
    def half() -> str:
        relay.outbox.track("42", "kept")
        savepoint = db.session.begin_nested()
        relay.outbox.track("42", "undone")
        savepoint.rollback()
        db.session.commit()
        return ""

    @app.get("/asynchronous")
    async def asynchronous() -> str:
        return await aio.track("42", "seen")

    with app.app_context():
        db.create_all()
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def rows(app: flask.Flask) -> Rows:
    """The committed rows, in order."""

    def read() -> list[Any]:
        with app.app_context(), app.extensions["sqlalchemy"].engine.connect() as connection:
            return list(connection.execute(sa.select(table).order_by(table.c.id)))

    return read


def test_a_job_commits_with_the_order_and_what_waits_for_the_response_comes_after_it(
    app: flask.Flask, rows: Rows
) -> None:
    with serving(app) as server:
        job = server.get("/order").body.decode()
        wait_until(lambda: len(rows()) == 2)
    first, second = rows()
    assert first.job_id == job
    assert "page_seen" in second.entry


@pytest.mark.parametrize("path", ["/rolled-back", "/breaks"])
def test_nothing_leaves_on_rollback(app: flask.Flask, rows: Rows, path: str) -> None:
    with serving(app) as server:
        server.get(path)
        server.get("/order")
        wait_until(lambda: len(rows()) == 2)
    assert len(rows()) == 2


def test_nothing_leaves_of_a_savepoint_that_is_rolled_back(app: flask.Flask, rows: Rows) -> None:
    with serving(app) as server:
        assert server.get("/half").status == 200
    assert ["kept" in row.entry for row in rows()] == [True]


def test_after_a_crash_between_commit_and_relay_the_relay_takes_it_on(
    app: flask.Flask, rows: Rows, url: str, worker_settings: dict[str, str]
) -> None:
    app.testing = True
    job = app.test_client().get("/order").text
    client = redis.Redis.from_url(worker_settings["TRACKRELAY_REDIS_URL"])
    assert client.dbsize() == 0
    from trackrelay.worker.queue.bootstrap import migrate
    from trackrelay.worker.settings import load
    from trackrelay.worker.storage.engine import make_engine

    configured = load(worker_settings)
    engine = make_engine(configured, pool_size=1)
    migrate(engine, client, 4)
    relay_once(worker_settings | {"TRACKRELAY_OUTBOX_URL": url})
    streams = [client.xrange(name) for name in client.scan_iter("trackrelay:*:live")]
    assert job.encode() in b"".join(fields[b"j"] for entries in streams for _, fields in entries)
    client.close()
    engine.dispose()


def test_outside_a_request_and_in_coroutines_a_call_is_its_own_transaction(
    app: flask.Flask, rows: Rows
) -> None:
    with app.app_context():
        track("42", "seen")
    assert len(rows()) == 1
    with pytest.raises(InvalidOperationError):
        track("42", "")
    app.testing = True
    job = app.test_client().get("/asynchronous").text
    assert rows()[1].job_id == job


def test_migrations_of_the_application_know_the_table(app: flask.Flask) -> None:
    db = app.extensions["sqlalchemy"]
    with app.app_context(), db.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), db.metadata) == []
        db.metadata.tables[table.name].drop(connection)
        found = compare_metadata(MigrationContext.configure(connection), db.metadata)
    assert [entry[0] for entry in found][:1] == ["add_table"]


def test_the_command_line_knows_where_the_outbox_is(app: flask.Flask, url: str) -> None:
    told: dict[str, str] = app.extensions["trackrelay"]._settings(app)
    assert told["TRACKRELAY_OUTBOX_URL"] == url


def test_without_a_database_there_is_no_outbox() -> None:
    with pytest.raises(ConfigurationError, match="db=db"):
        _ = TrackRelay().outbox
