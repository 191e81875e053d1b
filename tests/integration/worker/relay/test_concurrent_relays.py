"""Order does not depend on a relay being alone: the lease only saves work."""

import random
import threading

import pytest
import sqlalchemy as sa

from tests.support.harness import Harness
from tests.support.outbox import Application, make_relay, stream_jobs
from tests.support.waiting import wait_until
from trackrelay.outbox import Outbox

WRITERS, TRANSACTIONS, RELAYS = 4, 60, 3


@pytest.mark.parametrize("flush", [False, True], ids=["", "and Redis loses everything"])
def test_relays_that_do_not_take_turns_keep_the_order_of_what_committed_in_order(
    postgres_application: Application, harness: Harness, flush: bool
) -> None:
    application = postgres_application
    written: dict[int, list[str]] = {}
    relays = [make_relay(harness.settings) for _ in range(RELAYS)]
    done = threading.Event()

    def write(person: int) -> None:
        # Each writer's transactions are sequential; those of several overlap, and ids commit out of
        # order.
        rng = random.Random(person)
        jobs = written[person] = []
        for _ in range(TRANSACTIONS):
            with application.engine.begin() as connection:
                outbox = Outbox(connection)
                jobs += [outbox.track(f"p{person}", "seen", {}) for _ in range(rng.randrange(1, 5))]
                connection.execute(sa.text("SELECT pg_sleep(:s)"), {"s": rng.random() / 50})

    def relay(index: int) -> None:
        while not done.is_set():
            relays[index].run_pass()

    threads = [threading.Thread(target=write, args=(person,)) for person in range(WRITERS)]
    helpers = [threading.Thread(target=relay, args=(index,)) for index in range(RELAYS)]
    for thread in threads + helpers:
        thread.start()
    if flush:
        wait_until(lambda: len(application.rows()) > 100, 60, "some rows")
        harness.redis.flushall()
    for thread in threads:
        thread.join()
    wait_until(lambda: not unrelayed_now(application, harness), 60, "every row to be relayed")
    done.set()
    for helper in helpers:
        helper.join()

    for jobs in written.values():
        firsts = list(
            dict.fromkeys(
                job for shard in range(4) for job in stream_jobs(harness, shard) if job in set(jobs)
            )
        )
        assert firsts == jobs


def unrelayed_now(application: Application, harness: Harness) -> list[str]:
    generation = harness.redis.hget("trackrelay:config", "generation")
    return [
        row.job_id
        for row in application.rows()
        if generation is None or row.generation != generation.decode()
    ]
