"""After a failover, nobody keeps a connection to the old primary, a replica or read-only now."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import redis
import sqlalchemy as sa
from psycopg import sql
from redis.exceptions import ConnectionError, ResponseError

from tests.chaos.proxy import Proxy
from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.in_process_worker import people_of
from tests.support.outbox import Application, make_relay
from tests.support.replicas import REPLICATES, StandbyProcess
from tests.support.waiting import wait_until
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.devstack.servers import PostgresProcess, ValkeyProcess
from trackrelay.worker.queue.bootstrap import migrate
from trackrelay.worker.queue.redis_client import connect, is_demoted
from trackrelay.worker.settings import load
from trackrelay.worker.storage.engine import is_refusal_of_standby, make_engine


@dataclass
class Pair:
    """A primary and its replica behind one name."""

    primary: ValkeyProcess
    replica: ValkeyProcess
    proxy: Proxy

    @property
    def url(self) -> str:
        """The name."""
        return f"redis://127.0.0.1:{self.proxy.port}/0"

    def wait_in_step(self) -> None:
        """Wait until the replica has everything."""
        old, new = redis.Redis(port=self.primary.port), redis.Redis(port=self.replica.port)
        wait_until(
            lambda: new.info("replication").get("master_link_status") == "up",
            60,
            "the replica to be in sync",
        )
        wait_until(lambda: old.wait(1, 1000) == 1, 60, "the replica to have everything")
        old.close()
        new.close()

    def fail_over(self) -> None:
        """Promote the replica. The old primary becomes its replica, and keeps its connections."""
        self.wait_in_step()
        old, new = redis.Redis(port=self.primary.port), redis.Redis(port=self.replica.port)
        new.replicaof("NO", "ONE")
        self.proxy._target = self.replica.port
        old.replicaof("127.0.0.1", str(self.replica.port))
        old.close()
        new.close()


@pytest.fixture
def pair(own_redis: ValkeyProcess) -> Iterator[Pair]:
    with ValkeyProcess() as replica:
        with redis.Redis(port=replica.port) as client:
            client.replicaof("127.0.0.1", str(own_redis.port))
        proxy = Proxy(own_redis.port).start()
        yield Pair(own_redis, replica, proxy)
        proxy.close()


@pytest.fixture
def harness(
    pair: Pair, worker_settings: dict[str, str], sandbox: SandboxProcess
) -> Iterator[Harness]:
    worker_settings |= {"TRACKRELAY_REDIS_URL": pair.url}
    harness = Harness(worker_settings, sandbox.client)
    migrate(harness.engine, harness.redis, 4)
    yield harness
    harness.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_workers_continue_at_the_new_primary(
    pair: Pair, harness: Harness, start_worker: Callable[..., Any], pool: str
) -> None:
    worker = start_worker(harness.settings, pool=pool, concurrency=2)
    harness.wait_delivered(
        [harness.producer.track(person, "before", {}) for person in people_of(0, 5)], 60
    )
    pair.fail_over()
    after = Harness(harness.settings, harness.sandbox)
    jobs = [
        after.producer.track(person, "after", {})
        for shard in range(4)
        for person in people_of(shard, 3)
    ]
    after.wait_delivered(jobs, 120)
    after.close()
    assert worker.running


def test_a_relay_continues_at_the_new_primary(
    pair: Pair,
    postgres_application: Application,
    harness: Harness,
) -> None:
    relay = make_relay(harness.settings)
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        postgres_application.track("42", "before")
        wait_until(lambda: not postgres_application.unrelayed(), 60, "the first row to be relayed")
        pair.fail_over()
        postgres_application.track("42", "after")
        wait_until(
            lambda: not postgres_application.unrelayed(),
            60,
            lambda: f"the second row; {relay.done}",
        )
    finally:
        relay.stop()
        thread.join()


def test_jobs_that_the_new_primary_never_received_are_counted_as_lost(
    pair: Pair, harness: Harness, start_worker: Callable[..., Any], run: CommandLine
) -> None:
    kept = [harness.producer.track(person, "kept", {}) for person in people_of(0, 3)]
    pair.wait_in_step()
    new = redis.Redis(port=pair.replica.port)
    # It is promoted before the old primary accepts the last jobs.
    new.replicaof("NO", "ONE")
    for person in people_of(1, 2):
        harness.producer.track(person, "never replicated", {})
    pair.proxy._target = pair.replica.port
    pair.proxy.cut()
    after = Harness(harness.settings, harness.sandbox)
    kept.append(harness.producer.track("42", "after", {}))
    start_worker(after.settings, pool="threads", concurrency=2)
    after.wait_delivered(kept, 120)

    wait_until(lambda: "2 jobs are lost" in run("status").out, 60, "the loss to be shown")
    answer = run("incidents", "--json")
    assert [(each["kind"], each["at_least"], each["at_most"]) for each in answer.json] == [
        ("rolled_back", 2, 2)
    ]
    assert run("status", "--fail-if", "lost>1").code == 1
    assert not new.exists("trackrelay:acknowledged")
    after.close()


def test_one_refusal_drops_the_idle_connections_too(pair: Pair, harness: Harness) -> None:
    client = connect(load(harness.settings))
    pool = client.connection_pool
    connections = [pool.get_connection() for _ in range(3)]
    for connection in connections:
        connection.connect()
        pool.release(connection)
    pair.fail_over()
    with pytest.raises(ConnectionError, match="accepts no writes"):
        client.set("trackrelay:test", "1")
    assert client.set("trackrelay:test", "1")
    assert [connection for connection in connections if connection.is_connected] == connections[-1:]
    client.close()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "READONLY You can't write against a read only replica. script: 3b2, on @user_script:1.",
            True,
        ),
        (
            "Error running script (call to f_1): @user_script:7: @user_script: 7: "
            "-READONLY You can't write",
            True,
        ),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", True),
        (
            "UNBLOCKED force unblock from blocking operation, "
            "instance state changed (master -> replica?)",
            True,
        ),
        ("LOADING Valkey is loading the dataset in memory", True),
        ("OOM command not allowed when used memory > 'maxmemory'.", False),
        ("wrong number of arguments for 'set' command", False),
    ],
)
def test_which_answers_mean_that_a_server_is_no_primary(words: str, expected: bool) -> None:
    assert is_demoted(ResponseError(words)) is expected


@pytest.mark.parametrize(
    ("state", "words", "expected"),
    [
        ("25006", "cannot execute INSERT in a read-only transaction", True),
        ("57P01", "terminating connection due to administrator command", True),
        ("57P03", "the database system is starting up", True),
        ("08006", "server closed the connection", True),
        ("55000", "recovery is in progress", True),
        ("40001", "canceling statement due to conflict with recovery", False),
        ("23505", "duplicate key value", False),
        (None, "no word of recovery is in progress without a state", False),
    ],
)
@pytest.mark.parametrize("attribute", ["sqlstate", "pgcode"])
def test_which_errors_mean_that_a_postgres_is_no_primary(
    attribute: str, state: str | None, words: str, expected: bool
) -> None:
    error = Exception(words)
    setattr(error, attribute, state)
    assert is_refusal_of_standby(error) is expected


@pytest.mark.timeout(300)
def test_of_several_hosts_the_promoted_one_is_taken(
    worker_settings: dict[str, str], sandbox: SandboxProcess, start_worker: Callable[..., Any]
) -> None:
    with ExitStack() as stack:
        primary = stack.enter_context(PostgresProcess(durable=False, settings=REPLICATES))
        standby = stack.enter_context(StandbyProcess(primary))
        # The standby comes first, and refuses writes.
        port = f":{primary.port}/"
        worker_settings["TRACKRELAY_DATABASE_URL"] = primary.url.replace(
            f"@127.0.0.1{port}", f"@127.0.0.1:{standby.port},127.0.0.1{port}"
        )
        harness = Harness(worker_settings, sandbox.client)
        stack.callback(harness.close)
        migrate(harness.engine, harness.redis, 4)
        worker = start_worker(harness.settings, pool="threads", concurrency=2)
        before = [harness.producer.track("42", "before", {})]
        harness.wait_delivered(before, 60)
        standby.wait_in_step()
        primary.kill()
        standby.promote()
        after = [harness.producer.track(person, "after", {}) for person in people_of(0, 3)]
        fresh = Harness(worker_settings, sandbox.client)
        stack.callback(fresh.close)
        fresh.wait_delivered([*before, *after], 120)
        assert worker.running


def set_read_only(server: PostgresProcess, url: str, read_only: bool) -> None:
    """Make every new session read-only, or writable again, as a name that fails over does."""
    database = sql.Identifier(url.rsplit("/", 1)[1])
    statement = (
        "ALTER DATABASE {} SET default_transaction_read_only = on"
        if read_only
        else "ALTER DATABASE {} RESET ALL"
    )
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(sql.SQL(statement).format(database))


def end_sessions(server: PostgresProcess, url: str) -> None:
    """End the workers' sessions, as the end of their server does."""
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s "
            "AND application_name = 'trackrelay'",
            [url.rsplit("/", 1)[1]],
        )


def test_a_session_that_became_read_only_is_not_kept(
    worker_settings: dict[str, str], postgres_server: PostgresProcess
) -> None:
    url = worker_settings["TRACKRELAY_DATABASE_URL"]
    engine = make_engine(load(worker_settings), pool_size=3)
    statement = sa.text("UPDATE trackrelay_state SET updated_at = now()")
    set_read_only(postgres_server, url, True)
    with pytest.raises(sa.exc.InternalError), engine.begin() as connection:
        connection.execute(statement)
    set_read_only(postgres_server, url, False)
    with engine.begin() as connection:
        connection.execute(statement)
    engine.dispose()


@pytest.mark.timeout(300)
def test_workers_continue_after_postgres_was_read_only_for_a_while(
    road_on_shared_redis: Harness,
    start_worker: Callable[..., Any],
    postgres_server: PostgresProcess,
) -> None:
    harness = road_on_shared_redis
    url = harness.settings["TRACKRELAY_DATABASE_URL"]
    worker = start_worker(harness.settings, pool="threads", concurrency=4)
    harness.wait_delivered(
        [harness.producer.track(person, "before", {}) for person in people_of(0, 3)], 60
    )
    set_read_only(postgres_server, url, True)
    end_sessions(postgres_server, url)
    jobs = [harness.producer.track(person, "meanwhile", {}) for person in people_of(0, 3)]
    wait_until(lambda: "read-only transaction" in worker.output, 60, "the worker to notice")
    set_read_only(postgres_server, url, False)
    jobs += [
        harness.producer.track(person, "after", {})
        for shard in range(4)
        for person in people_of(shard, 3)
    ]
    with psycopg.connect(url) as reader:

        def delivered() -> bool:
            found = reader.execute(
                "SELECT count(*) FROM trackrelay_ledger WHERE id = ANY(%s)", [jobs]
            ).fetchone()
            return found == (len(jobs),)

        wait_until(delivered, 120, "the jobs to be delivered")


@pytest.fixture
def road_on_shared_redis(
    worker_settings: dict[str, str], sandbox: SandboxProcess
) -> Iterator[Harness]:
    harness = Harness(worker_settings, sandbox.client)
    migrate(harness.engine, harness.redis, 4)
    yield harness
    harness.close()
