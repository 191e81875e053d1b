"""What Postgres can store is known before the insert, and the prediction is right."""

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.hostile_entries import _NOISE as NOISE
from trackrelay.operations.ids import new_id
from trackrelay.worker.storage import settlement, shards
from trackrelay.worker.storage.backlog import BacklogItem
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.settlement import Holder, Settlement
from trackrelay.worker.storage.storable_jobs import (
    MAX_MS,
    as_bytes,
    brief,
    is_data_error,
    stripped,
    unstorable_reason,
)
from trackrelay.worker.storage.stored_job import Job


def job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "id": new_id(),
        "operation": "person.event",
        "keys": ("id:1",),
        "shards": (0,),
        "body": b"{}",
        "lane": "live",
        "enqueued_at": 1.0,
        "age_from": 1.0,
        "entry": "1-1",
    }
    return Job(**fields | changes)


WIDE = "".join(map(chr, range(0x20000, 0x20000 + 1_900)))
UNSTORABLE: dict[str, dict[str, Any]] = {
    "its id is not a ULID": {"id": "x"},
    "it has 0 keys; a job has 1 to 2": {"keys": (), "shards": ()},
    "it has 3 keys; a job has 1 to 2": {"keys": ("a", "b", "c"), "shards": (0, 0, 0)},
    "its operation or a key is empty": {"keys": ("",)},
    "its key is 3,000 bytes; the limit is 2,000": {"keys": (NOISE[:3_000],)},
    "its key is 7,600 bytes; the limit is 2,000": {"keys": (WIDE,)},
    "its key holds a NUL": {"keys": ("a\0",)},
    "its source holds a NUL": {"source": "a\0"},
    "its trace is not valid Unicode": {"trace": "\ud800"},
    "its idempotency_key is 3,000 bytes; the limit is 1,020": {"idempotency_key": NOISE[:3_000]},
    "its operation is 1,000 bytes; the limit is 400": {"operation": "x" * 1_000},
    "its time is not between the years 1970 and 3000": {"enqueued_at": MAX_MS / 1000 + 1},
    "it has 40,000 attempts; a job has 0 to 32,766": {"attempts": 40_000},
    "its body is not a JSON object": {"body": b"[]"},
    "its body is 500,001 bytes; at most 500,000 fit in a request": {
        "body": b"{" + b" " * 499_999 + b"}"
    },
    "its body is nested deeper than 200 levels": {"body": b'{"a":' * 201 + b"1" + b"}" * 201},
}


@pytest.mark.parametrize(("why", "changes"), UNSTORABLE.items(), ids=UNSTORABLE)
def test_it_says_why_something_cannot_be_held(why: str, changes: dict[str, Any]) -> None:
    assert unstorable_reason(job(**changes)) == why


@pytest.mark.parametrize(
    "changes", [*UNSTORABLE.values(), {"enqueued_at": 1e300}, {"attempts": -1}]
)
def test_what_is_left_of_any_job_can_be_held(changes: dict[str, Any]) -> None:
    any_job = job(**{"id": new_id()} | changes)
    assert unstorable_reason(stripped(any_job, 0).with_(id=new_id())) is None
    assert as_bytes(any_job).isascii()


@pytest.fixture(scope="module")
def engine(postgres_server: Any, migrated_template: str) -> Any:
    from tests.support.databases import fresh_database
    from trackrelay.worker.settings import sqlalchemy_url

    with fresh_database(postgres_server, migrated_template) as url:
        engine = sa.create_engine(sqlalchemy_url(url))
        yield engine
        engine.dispose()


TEXT = st.text(
    st.characters(codec=None, categories=None) | st.sampled_from("\0\ud800a\U00020000"),
    max_size=2_200,
)  # type: ignore[arg-type]
JOBS = st.builds(
    job,
    keys=st.lists(
        TEXT | st.sampled_from([NOISE[:1_990], NOISE[:2_010], WIDE[:500], WIDE[:501]]), max_size=3
    ).map(tuple),
    operation=TEXT,
    source=st.none() | TEXT,
    idempotency_key=st.none() | TEXT | st.sampled_from([WIDE[:255], WIDE[:256]]),
    trace=st.none() | TEXT,
    body=st.sampled_from(
        [
            b"{}",
            b"[]",
            b"null",
            b'{"a":1e400}',
            b'{"a":"\\u0000"}',
            b'{"a":' * 200 + b"1" + b"}" * 200,
        ]
    ),
    enqueued_at=st.floats() | st.integers(0, MAX_MS // 1000).map(float),
    attempts=st.integers(0, 70_000),
).map(lambda job: job.with_(shards=(0,) * len(job.keys)))


@given(JOBS)
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
def test_what_it_lets_pass_can_be_delivered_wait_and_die(engine: sa.Engine, any_job: Job) -> None:
    if unstorable_reason(any_job):
        return
    with engine.begin() as connection:
        connection.execute(
            sa.text("INSERT INTO trackrelay_shards (shard) VALUES (0) ON CONFLICT DO NOTHING")
        )
        fence = shards.take_over(connection, 0).fence
    for outcome in (
        Settlement(waiting=[BacklogItem(job=any_job, reason="breaker")]),
        Settlement(delivered=[any_job.with_(id=new_id())]),
        Settlement(
            dead=[
                NewDeadLetter(job=any_job.with_(id=new_id()), reason="rejected", error="\0\ud800")
            ]
        ),
    ):
        with engine.connect() as connection:
            settlement.settle(connection, Holder(0, fence), outcome, 0)
            connection.rollback()


def failure(engine: sa.Engine, statement: str, **parameters: Any) -> BaseException:
    with pytest.raises(Exception) as raised, engine.connect() as connection:  # noqa: PT011, PT012
        connection.execute(sa.text("SET LOCAL statement_timeout = 50"))
        connection.execute(sa.text(statement), parameters)
    return raised.value


def test_data_that_a_store_refuses_is_distinguished_from_its_outage(engine: sa.Engine) -> None:
    refused = [
        failure(engine, "SELECT CAST(:a AS json)", a="{"),
        failure(engine, "SELECT CAST(:a AS text)", a="\0"),
        failure(engine, "SELECT CAST(:a AS text)", a="\ud800"),
        failure(engine, "SELECT to_timestamp(1e300)"),
        failure(engine, "INSERT INTO trackrelay_ledger (id, key) VALUES ('x', NULL)"),
        failure(
            engine,
            "INSERT INTO trackrelay_ledger (id, key, operation, enqueued_at, delivered_at, "
            "attempts) "
            "VALUES ('x', :key, 'x', now(), now(), 0)",
            key=NOISE[:5_000],
        ),
    ]
    assert [is_data_error(error) for error in refused] == [True] * 6
    assert all(len(brief(error)) <= 300 and "\n" not in brief(error) for error in refused)
    assert not is_data_error(failure(engine, "SELECT pg_sleep(5)"))
    assert not is_data_error(failure(engine, "SELECT * FROM no_such_table"))
    assert not is_data_error(OSError("the disk is full"))
