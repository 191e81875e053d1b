"""Jobs written in the application's own transaction: they commit with it, or never existed."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session, scoped_session, sessionmaker

import trackrelay
from trackrelay import InvalidOperationError, Person, operations
from trackrelay.calls.backends import MemoryBackend
from trackrelay.default import default_producer
from trackrelay.outbox import Outbox, create_table, metadata, table
from trackrelay.queue.job import decode_entry

Rows = Callable[[], list[Any]]


def names(rows: Rows) -> list[str]:
    """The event names of the committed rows, in order."""
    bodies = [bytes(decode_entry(row.entry.encode())[-1].body) for row in rows()]
    return [str(msgspec.json.decode(body).get("name")) for body in bodies]


def test_a_job_commits_with_the_transaction(engine: sa.Engine, rows: Rows) -> None:
    with Session(engine) as session:
        job = Outbox(session).track("42", "ordered", {"total": 3})
        assert rows() == []
        session.commit()
    (row,) = rows()
    (decoded,) = decode_entry(row.entry.encode())
    assert (row.job_id, row.lane, row.generation, row.turn, row.place) == (
        job,
        "live",
        None,
        None,
        None,
    )
    assert (decoded.id, decoded.operation, decoded.keys, decoded.accepted_ms) == (
        job,
        "person.event",
        ("id:42",),
        0,
    )
    assert abs(row.accepted_ms - time.time() * 1000) < 10_000


def test_a_job_that_is_rolled_back_never_existed(engine: sa.Engine, rows: Rows) -> None:
    with Session(engine) as session:
        Outbox(session).track("42", "ordered", {})
        session.rollback()
        Outbox(session).track("42", "paid", {})
        session.commit()
    assert names(rows) == ["paid"]


def test_a_savepoint_takes_its_jobs_with_it(engine: sa.Engine, rows: Rows) -> None:
    with engine.begin() as connection:
        outbox = Outbox(connection)
        outbox.track("42", "first", {})
        savepoint = connection.begin_nested()
        outbox.track("42", "undone", {})
        savepoint.rollback()
        with connection.begin_nested():
            outbox.track("42", "kept", {})
        outbox.track("42", "last", {})
    assert names(rows) == ["first", "kept", "last"]


@pytest.mark.parametrize("through", ["session", "scoped session", "connection"])
def test_whatever_has_a_transaction_will_do(engine: sa.Engine, rows: Rows, through: str) -> None:
    if through == "connection":
        with engine.begin() as connection:
            Outbox(connection).track("42", "seen", {})
    elif through == "session":
        with Session(engine) as session, session.begin():
            Outbox(session).track("42", "seen", {})
    else:
        scoped = scoped_session(sessionmaker(engine))
        Outbox(scoped).track("42", "seen", {})
        scoped.commit()
        scoped.remove()
    assert names(rows) == ["seen"]


def test_every_function_of_the_vocabulary_is_there_and_checked(
    engine: sa.Engine, rows: Rows
) -> None:
    with engine.begin() as connection:
        outbox = Outbox(connection)
        jobs = [
            outbox.identify("42", {"plan": "pro"}, anonymous_id="a1"),
            outbox.merge(primary="42", secondary=Person(email="ada@example.com")),
            *outbox.add_to_segment(7, ["1", "2", "3"]),
            outbox.track("42", "ordered", {}, person_attributes={"n": 1}, idempotency_key="A-1"),
            outbox.enqueue(operations.delete_person("42"), lane="bulk"),
        ]
        for invalid in (
            lambda: outbox.track("42", "", {}),
            lambda: outbox.identify("", {}),
            lambda: outbox.track_anonymous(None, "x", {}),
        ):
            with pytest.raises(InvalidOperationError):
                invalid()
        assert outbox.enqueue_all([]) == []
    found = rows()
    assert [row.job_id for row in found] == jobs
    assert [row.lane for row in found] == ["live"] * 6 + ["bulk"]
    with_companion = decode_entry(found[5].entry.encode())
    assert [job.operation for job in with_companion] == ["person.identify", "person.event"]
    assert jobs[5] == operations.track("42", "ordered", {}, idempotency_key="A-1").id


def test_many_written_at_once_keep_their_order(engine: sa.Engine, rows: Rows) -> None:
    made = [operations.track("42", str(number), {}) for number in range(500)]
    with engine.begin() as connection:
        assert Outbox(connection).enqueue_all(made) == [operation.id for operation in made]
    assert names(rows) == [str(number) for number in range(500)]


def test_the_row_says_which_application_wrote_it(
    engine: sa.Engine, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKRELAY_SOURCE", "shop")
    with engine.begin() as connection:
        Outbox(connection).track("42", "seen", {})
        Outbox(connection, source="import").track("42", "seen", {})
    assert [decode_entry(row.entry.encode())[0].source for row in rows()] == ["shop", "import"]


def test_the_second_of_two_transactions_that_wait_for_each_other_is_later(
    engine: sa.Engine, rows: Rows
) -> None:
    """Also in time, even if it began first: the second's identify must win over the first's."""
    if engine.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer: whoever begins second waits before it has begun")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE person (id int PRIMARY KEY, plan text)"))
        connection.execute(sa.text("INSERT INTO person VALUES (42, '')"))
    update = sa.text("UPDATE person SET plan = :plan WHERE id = 42")
    waiting = threading.Event()

    with engine.connect() as early, engine.connect() as late:
        early.execute(sa.text("SELECT 1"))  # it has begun

        def second() -> None:
            waiting.set()
            early.execute(update, {"plan": "second"})
            Outbox(early).identify("42", {"plan": "second"})
            early.commit()

        late.execute(update, {"plan": "first"})
        Outbox(late).identify("42", {"plan": "first"})
        thread = threading.Thread(target=second)
        thread.start()
        waiting.wait()
        late.commit()
        thread.join()
    found = rows()
    assert ["first" in row.entry for row in found] == [True, False]
    assert found[0].accepted_ms <= found[1].accepted_ms


def test_without_the_table_the_database_says_so_and_nothing_else_is_touched(
    outbox_url: str,
) -> None:
    engine = sa.create_engine(outbox_url.replace("postgresql://", "postgresql+psycopg://"))
    with (
        engine.connect() as connection,
        pytest.raises(sa.exc.DBAPIError, match="trackrelay_outbox"),
    ):
        Outbox(connection).track("42", "seen", {})
    create_table(engine)
    create_table(engine)
    assert sa.inspect(engine).get_table_names() == ["trackrelay_outbox"]


def test_the_applications_own_migrations_make_the_table(engine: sa.Engine, outbox_url: str) -> None:
    from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
    from alembic.migration import MigrationContext

    with engine.begin() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
        metadata.drop_all(connection)
        made = produce_migrations(context, metadata)
        assert made.upgrade_ops is not None
        code = render_python_code(made.upgrade_ops)
    assert "trackrelay_outbox" in code
    assert "generation IS NULL" in code
    assert "trackrelay." not in code


def test_with_another_backend_no_row_is_written(engine: sa.Engine, rows: Rows) -> None:
    trackrelay.configure(backend="memory")
    with engine.begin() as connection:
        Outbox(connection).track("42", "seen", {})
        with pytest.raises(InvalidOperationError):
            Outbox(connection).track("42", "", {})
    assert rows() == []
    backend = default_producer().backend
    assert isinstance(backend, MemoryBackend)
    assert len(backend.operations) == 1


def test_other_databases_are_refused() -> None:
    from sqlalchemy.dialects import mysql
    from sqlalchemy.exc import CompileError

    with pytest.raises(CompileError, match="PostgreSQL and SQLite, not on mysql"):
        table.insert().values(job_id="x").compile(dialect=mysql.dialect())


def test_producers_alone_do_not_import_sqlalchemy() -> None:
    code = "import trackrelay, trackrelay.aio, sys; sys.exit('sqlalchemy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_sqlalchemy_the_error_names_the_extra() -> None:
    code = """
import sys
sys.modules["sqlalchemy"] = None
from trackrelay import ConfigurationError, Producer
try:
    import trackrelay.outbox
except ModuleNotFoundError as error:
    assert "pip install 'trackrelay[outbox]'" in str(error), error
try:
    Producer(redis_url="redis://x", on_unavailable="outbox", outbox_url="sqlite:///x.db")
except ConfigurationError as error:
    assert "pip install 'trackrelay[outbox]'" in str(error), error
else:
    sys.exit("nothing was raised")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
