"""``on_unavailable="outbox"``: what Redis does not take goes to the outbox and keeps its order."""

import asyncio
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
import sqlalchemy as sa

import trackrelay
from tests.support.waiting import patient, wait_until
from trackrelay import Producer, QueueUnavailableError, aio
from trackrelay.outbox import outbox_fallback, table
from trackrelay.worker.devstack.servers import ValkeyProcess
from trackrelay.worker.queue.queue_config import set_up

Rows = Callable[[], list[Any]]
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def queue(own_redis: ValkeyProcess) -> Iterator[redis.Redis]:
    """A queue in a Redis that a test may harm."""
    client = redis.Redis.from_url(own_redis.url)
    set_up(client, 4)
    yield client
    client.close()


@pytest.fixture
def producer(
    queue: redis.Redis, own_redis: ValkeyProcess, engine: sa.Engine, outbox_url: str
) -> Iterator[Producer]:
    """A producer with an outbox to fall back to."""
    producer = make_producer(own_redis.url, outbox_url)
    yield producer
    producer.close()


def make_producer(redis_url: str, outbox_url: str, **more: Any) -> Producer:
    return Producer(
        redis_url=redis_url,
        on_unavailable="outbox",
        outbox_url=outbox_url,
        enqueue_timeout=1.0,
        **more,
    )


def queued(client: redis.Redis) -> int:
    return sum(int(client.xlen(name)) for name in client.scan_iter("trackrelay:*", _type="stream"))


def relay_all(engine: sa.Engine) -> bool:
    """What a relay leaves behind."""
    with engine.begin() as connection:
        connection.execute(sa.update(table).values(generation="g", turn=1, place="0:1-0"))
    return True


def come_back(server: ValkeyProcess) -> None:
    """The server is there again, as it was before it was set up."""
    server.start()
    with redis.Redis.from_url(server.url) as client:
        set_up(client, 4)


def somebody_else(producer: Producer) -> bool:
    """Return whether a job of a new person was taken. Redis may have been away just before."""
    try:
        return bool(producer.track(f"other-{next(_numbers)}", "seen", {}))
    except QueueUnavailableError:
        return False


_numbers = itertools.count()


def test_what_redis_does_not_take_is_in_the_outbox(
    producer: Producer, own_redis: ValkeyProcess, queue: redis.Redis, rows: Rows
) -> None:
    producer.track("42", "direct", {})
    own_redis.kill()
    jobs = [producer.track("42", "during", {"n": number}) for number in range(5)]
    assert [row.job_id for row in rows()] == jobs


def test_a_later_job_of_the_same_person_does_not_overtake_the_one_in_the_outbox(
    producer: Producer, own_redis: ValkeyProcess, queue: redis.Redis, engine: sa.Engine, rows: Rows
) -> None:
    own_redis.kill()
    first = producer.track("42", "first", {})
    come_back(own_redis)
    wait_until(
        lambda: somebody_else(producer) and queued(queue), 10, "somebody else's job in the queue"
    )
    before = len(rows())
    second = producer.track("42", "second", {})
    with producer.pipeline() as pipeline:
        pipeline.track("8", "in the same breath", {})
        third = pipeline.identify("42", {"plan": "pro"})
    assert [row.job_id for row in rows()][before:] == [second, pipeline.operations[0].id, third]
    assert first in [row.job_id for row in rows()]

    in_queue = queued(queue)
    wait_until(
        lambda: (
            relay_all(engine) and producer.track("42", "fourth", {}) and queued(queue) > in_queue
        ),
        5,
    )


def test_a_full_queue_and_one_that_was_never_set_up_are_such_cases_too(
    own_redis: ValkeyProcess, engine: sa.Engine, outbox_url: str, rows: Rows
) -> None:
    producer = make_producer(own_redis.url, outbox_url, max_queue_length=1)
    jobs = [producer.track("1", "before it was set up", {})]
    with redis.Redis.from_url(own_redis.url) as client:
        set_up(client, 4)
        producer.track("2", "the only one", {})
        jobs.append(producer.track("3", "one too many", {}))
        assert queued(client) == 1
    assert [row.job_id for row in rows()] == jobs


def test_a_queue_that_redis_has_lost_is_such_a_case_too(
    producer: Producer, queue: redis.Redis, rows: Rows
) -> None:
    producer.track("42", "before", {})
    queue.flushall()
    jobs = [producer.track("42", "after", {}) for _ in range(2)]
    assert [row.job_id for row in rows()] == jobs


def test_a_session_that_has_become_read_only_is_replaced(
    producer: Producer, own_redis: ValkeyProcess, engine: sa.Engine, rows: Rows
) -> None:
    if engine.dialect.name != "postgresql":
        pytest.skip("only a server fails over")
    own_redis.kill()
    read_only = sa.text(
        f'ALTER DATABASE "{engine.url.database}" SET default_transaction_read_only = on'
    )
    writable = sa.text(
        f'ALTER DATABASE "{engine.url.database}" RESET default_transaction_read_only'
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
        admin.execute(read_only)
        # Its sessions begin while the server takes no writes, as those to a primary that became a
        # standby.
        with pytest.raises(
            QueueUnavailableError, match=r"the outbox did not take it either.*read-only"
        ):
            producer.track("42", "while there is no primary", {})
        admin.execute(writable)
    job = producer.track("42", "after", {})
    assert [row.job_id for row in rows()] == [job]


def test_if_the_outbox_does_not_take_it_either_both_reasons_are_named(
    own_redis: ValkeyProcess, tmp_path: Any
) -> None:
    own_redis.kill()
    producer = make_producer(own_redis.url, f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(
        QueueUnavailableError,
        match=r"did not answer.*the outbox did not take it either.*trackrelay_outbox",
    ) as error:
        producer.track("42", "seen", {"secret": "value"})
    assert error.value.job_id
    assert "value" not in str(error.value)
    with pytest.raises(
        QueueUnavailableError,
        match=r"not tried again yet\); the outbox did not take it either.*\(2 jobs\)$",
    ) as error:
        producer.add_to_segment(7, ["1", "2"])
    assert len(error.value.operations) == 2


def test_a_missing_outbox_refuses_jobs_that_must_not_overtake(
    producer: Producer, own_redis: ValkeyProcess, queue: redis.Redis, engine: sa.Engine
) -> None:
    own_redis.kill()
    producer.track("42", "first", {})
    come_back(own_redis)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE trackrelay_outbox RENAME TO elsewhere"))
    with pytest.raises(
        QueueUnavailableError, match="holds earlier jobs of this key that were not relayed"
    ):
        producer.track("42", "second", {})
    wait_until(lambda: somebody_else(producer), 10, "somebody else's job in the queue")
    assert queued(queue) == 1


def test_a_new_process_waits_for_what_an_earlier_one_left(
    producer: Producer,
    own_redis: ValkeyProcess,
    queue: redis.Redis,
    engine: sa.Engine,
    outbox_url: str,
    rows: Rows,
) -> None:
    own_redis.kill()
    producer.track("42", "first", {})
    come_back(own_redis)
    later = make_producer(own_redis.url, outbox_url)
    second = later.track("42", "second", {})
    assert rows()[-1].job_id == second
    wait_until(
        lambda: relay_all(engine) and later.track("42", "third", {}) and queued(queue),
        5,
        "the direct harness",
    )


def test_a_process_that_noticed_no_outage_does_not_overtake_what_another_one_wrote_to_the_outbox(
    producer: Producer,
    queue: redis.Redis,
    engine: sa.Engine,
    outbox_url: str,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox_fallback, "IDLE_POLL_S", 0.0)
    cut_off = make_producer(NOWHERE, outbox_url)
    producer.track("42", "before", {})
    first = cut_off.track("42", "first", {})
    second = producer.track("42", "second", {})
    producer.track("8", "somebody else", {})
    assert [row.job_id for row in rows()] == [first, second]
    assert queued(queue) == 2
    wait_until(
        lambda: relay_all(engine) and producer.track("42", "third", {}) and queued(queue) > 2,
        5,
        "the queue",
    )
    cut_off.close()


def test_calls_in_quick_succession_look_at_the_outbox_once(
    producer: Producer, queue: redis.Redis, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_fallback, "IDLE_POLL_S", 3600.0)
    looks: list[str] = []
    assert producer.fallback is not None
    sa.event.listen(
        producer.fallback._engine,
        "before_cursor_execute",
        lambda *arguments: looks.append(arguments[2]),
    )
    for number in range(50):
        producer.track("42", "seen", {"n": number})
    assert sum("trackrelay_outbox" in statement for statement in looks) == 1
    assert queued(queue) == 50


@pytest.mark.parametrize("which", ["too many to be read", "a newer version's"])
def test_rows_with_unknown_keys_hold_back_every_job(
    producer: Producer,
    queue: redis.Redis,
    engine: sa.Engine,
    outbox_url: str,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
    which: str,
) -> None:
    monkeypatch.setattr(outbox_fallback, "IDLE_POLL_S", 0.0)
    monkeypatch.setattr(outbox_fallback, "POLL_S", 0.0)
    cut_off = make_producer(NOWHERE, outbox_url)
    if which == "a newer version's":
        cut_off.track("1", "seen", {})
        with engine.begin() as connection:
            connection.execute(sa.update(table).values(format=99))
    else:
        monkeypatch.setattr(outbox_fallback, "MAX_READ_ROWS", 2)
        for number in range(3):
            cut_off.track(str(number), "seen", {})
    job = producer.track("42", "seen", {})
    assert rows()[-1].job_id == job
    relay_all(engine)
    producer.track("42", "seen", {})
    assert queued(queue) == 1
    cut_off.close()


def test_coroutines_fall_back_as_well(
    own_redis: ValkeyProcess, engine: sa.Engine, outbox_url: str, rows: Rows
) -> None:
    own_redis.kill()
    trackrelay.configure(
        redis_url=own_redis.url, on_unavailable="outbox", outbox_url=outbox_url, enqueue_timeout=0.5
    )

    async def enqueue() -> list[str]:
        jobs = [await aio.track("42", "seen", {}), await aio.track("42", "seen", {})]
        await aio.aclose()
        return jobs

    assert asyncio.run(enqueue()) == [row.job_id for row in rows()]


def test_many_fall_back_as_well(producer: Producer, own_redis: ValkeyProcess, rows: Rows) -> None:
    own_redis.kill()
    assert (
        producer.enqueue_many(trackrelay.operations.track(str(n), "imported") for n in range(600))
        == 600
    )
    assert [row.lane for row in rows()] == ["bulk"] * 600


def test_many_of_coroutines_fall_back_as_well(
    own_redis: ValkeyProcess, engine: sa.Engine, outbox_url: str, rows: Rows
) -> None:
    own_redis.kill()
    trackrelay.configure(
        redis_url=own_redis.url, on_unavailable="outbox", outbox_url=outbox_url, enqueue_timeout=0.5
    )

    async def enqueue() -> int:
        count = await aio.enqueue_many(
            trackrelay.operations.track(str(n), "imported") for n in range(600)
        )
        await aio.aclose()
        return count

    assert asyncio.run(enqueue()) == 600
    assert [row.lane for row in rows()] == ["bulk"] * 600


def test_many_wait_for_room_and_do_not_fall_back(
    queue: redis.Redis, own_redis: ValkeyProcess, engine: sa.Engine, outbox_url: str, rows: Rows
) -> None:
    producer = make_producer(own_redis.url, outbox_url, max_queue_length=2)
    producer.track("1", "live")
    many = threading.Thread(
        target=producer.enqueue_many, args=([trackrelay.operations.track("2", "imported")],)
    )
    many.start()
    many.join(0.7)
    assert (many.is_alive(), rows()) == (True, [])
    queue.delete(*queue.scan_iter("trackrelay:*", _type="stream"))
    many.join(patient(10))
    assert (queued(queue), rows()) == (1, [])


def test_a_forked_child_writes_through_its_own_connection(
    producer: Producer, own_redis: ValkeyProcess, engine: sa.Engine, rows: Rows
) -> None:
    own_redis.kill()
    producer.track("42", "parent", {})
    written, finish = os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        try:
            producer.track("42", "child", {})
            os.write(written[1], b".")
            os.read(finish[0], 1)
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.read(written[0], 1)
    if engine.dialect.name == "postgresql":
        ours = sa.text(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'trackrelay-outbox'"
        )
        with engine.connect() as connection:
            assert connection.execute(ours).scalar_one() == 2
    os.write(finish[1], b".")
    assert os.waitpid(child, 0)[1] == 0
    producer.track("42", "parent", {})
    assert len(rows()) == 3
