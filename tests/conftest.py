"""Fixtures: real servers, a database and a queue for each test, real workers; and two checks of the whole run."""

from __future__ import annotations

import logging
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import redis
import structlog

from tests.description import find_description
from tests.support import canaries, skips
from tests.support.databases import TEMPLATE, create_database, fresh_database, migrate
from tests.support.description_check import MISSING, is_required, violations
from tests.support.waiting import patient
from tests.support.worker_process import WorkerProcess
from trackrelay import Producer, default
from trackrelay.configuration.environment import set_framework_settings
from trackrelay.operations.refs import recognise_people
from trackrelay.sandbox import sandbox_process
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.devstack.servers import (
    PostgresProcess,
    ValkeyProcess,
    child_process,
    server_process,
    unprivileged,
)
from trackrelay.worker.settings import settings

# Several tests run side by side: how long an example takes says nothing of the code.
hypothesis.settings.register_profile(
    "side by side", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
# For the machines of tests/worker/model, which take their number of examples from it: `--hypothesis-profile=long` runs for a while.
hypothesis.settings.register_profile(
    "long", hypothesis.settings.get_profile("side by side"), max_examples=5_000, print_blob=True
)
hypothesis.settings.load_profile("side by side")

# How long servers may take to start is meant for somebody who waits, and not for a run beside others. A session's
# server that is given up fails every test after it.
sandbox_process.START_S = patient(sandbox_process.START_S)
server_process.START_TIMEOUT_S = patient(server_process.START_TIMEOUT_S)
child_process.LEASH_TIMEOUT_S = patient(child_process.LEASH_TIMEOUT_S)

LOGS = pytest.StashKey[list[Path]]()
SECRETS = pytest.StashKey[dict[str, str]]()
LEAKS = pytest.StashKey[list[str]]()

SANDBOX_CREDENTIALS = {
    "site_id": canaries.CANARY_SITE_ID,
    "api_key": canaries.CANARY_API_KEY,
    "app_api_key": canaries.CANARY_APP_API_KEY,
}


@pytest.fixture(autouse=True)
def no_settings_of_our_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test says itself what is configured: nothing comes from where the tests were started, or from another test."""
    for name in list(os.environ):
        if name.startswith(("TRACKRELAY_", "CUSTOMERIO_")):
            monkeypatch.delenv(name)
    # Django's settings, once loaded, stay so in this process; what connects a test's application connects it again.
    default.produce_with(Producer)
    set_framework_settings(lambda _: {})
    recognise_people(lambda _: None)
    # The width of a terminal that is not there: pytest-xdist hands it to its processes.
    monkeypatch.delenv("COLUMNS", raising=False)
    yield
    default._overrides.clear()
    default.configure()
    settings.cache_clear()
    # What captures log lines leaves structlog configured, and commands log where they were told to, not to stderr.
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[PostgresProcess]:
    """The PostgreSQL of the run. A test that harms its server takes `own_postgres`."""
    with PostgresProcess(durable=False) as server:
        request.config.stash[SECRETS]["the database's password"] = server.password
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[ValkeyProcess]:
    """The Valkey of the run. A test that harms its server takes `own_redis`."""
    with ValkeyProcess() as server:
        yield server


@pytest.fixture
def own_postgres(request: pytest.FixtureRequest) -> Iterator[PostgresProcess]:
    """A PostgreSQL for one test, to kill, pause and restart (takes a second)."""
    with PostgresProcess(durable=False) as server:
        request.config.stash[SECRETS][f"a password of {request.node.name}"] = server.password
        yield server


@pytest.fixture
def own_redis() -> Iterator[ValkeyProcess]:
    """A Valkey for one test, to kill, pause and restart (takes a tenth of a second)."""
    with ValkeyProcess() as server:
        yield server


@pytest.fixture
def reachable_dir() -> Iterator[Path]:
    """An empty folder for servers' data: `tmp_path` is for its owner alone, and PostgreSQL does not run as root."""
    folder = unprivileged.temporary_dir("trackrelay-test-")
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresProcess) -> str:
    """The name of a database that has our tables, to copy."""
    migrate(create_database(postgres_server, TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database_url(postgres_server: PostgresProcess, migrated_template: str) -> Iterator[str]:
    """A database with our tables and nothing in them."""
    with fresh_database(postgres_server, migrated_template) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_server: PostgresProcess) -> Iterator[str]:
    """A database without our tables."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: ValkeyProcess) -> str:
    """An empty Redis, with the settings it was started with."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        client.script_flush()
        for name, value in redis_server.config.items():
            client.config_set(name, value)
    return redis_server.url


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[SandboxProcess]:
    """The sandbox of the run; take `sandbox`."""
    with SandboxProcess(**SANDBOX_CREDENTIALS) as server:
        yield server


@pytest.fixture
def sandbox(sandbox_server: SandboxProcess) -> Iterator[SandboxProcess]:
    """A sandbox that knows nobody and misbehaves in nothing. What it received is checked when the test ends."""
    if sandbox_server.pid is None:  # an earlier test ended it
        sandbox_server.start()
    sandbox_server.client.reset()
    yield sandbox_server
    _check_requests([sandbox_server])


@pytest.fixture
def start_sandbox() -> Iterator[Callable[..., SandboxProcess]]:
    """Starts sandboxes with options (see `SandboxOptions`), for this test alone; what they received is checked."""
    servers: list[SandboxProcess] = []

    def start(**options: Any) -> SandboxProcess:
        servers.append(SandboxProcess(**(SANDBOX_CREDENTIALS | options)))
        return servers[-1].start()

    yield start
    try:
        _check_requests(servers)
    finally:
        for server in servers:
            server.stop()


def _check_requests(servers: list[SandboxProcess]) -> None:
    """Requests that Customer.io's description does not allow fail the test that caused them."""
    for server in servers:
        if server.pid is not None:
            server.client.clear_faults()
            found = violations(server.client)
            assert not found, "the description of the Track API does not allow:\n" + "\n".join(
                found
            )


@pytest.fixture
def worker_settings(redis_url: str, database_url: str, sandbox: SandboxProcess) -> dict[str, str]:
    """Settings for a worker, or the command line, on the run's servers and the sandbox; to be added to."""
    return {
        "TRACKRELAY_REDIS_URL": redis_url,
        "TRACKRELAY_DATABASE_URL": database_url,
        "CUSTOMERIO_TRACK_URL": sandbox.url,
        "CUSTOMERIO_SITE_ID": sandbox.site_id,
        "CUSTOMERIO_TRACK_API_KEY": sandbox.api_key,
        "CUSTOMERIO_APP_URL": sandbox.url,
        "CUSTOMERIO_APP_API_KEY": sandbox.app_api_key,
    }


@pytest.fixture
def worker_log(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Gives a log file a place where the end of the run looks for secrets in it."""

    def place(name: str) -> Path:
        log = tmp_path_factory.mktemp("logs") / f"{name}.log"
        request.config.stash[LOGS].append(log)
        return log

    return place


StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def start_worker(worker_log: Callable[[str], Path]) -> Iterator[StartWorker]:
    """Starts workers (arguments: see `WorkerProcess`); they are killed when the test ends, and shown if it failed."""
    workers: list[WorkerProcess] = []

    def start(
        settings: dict[str, str], *, name: str = "worker", wait: bool = True, **options: Any
    ) -> WorkerProcess:
        worker = WorkerProcess(settings, log=worker_log(name), name=name, **options)
        workers.append(worker)
        return worker.start(ready_within=30.0 if wait else None)

    yield start
    for worker in workers:
        worker.kill()
        print(
            f"----- {worker.log.name} -----\n{worker.output}"
        )  # pytest shows it only for a test that failed


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background job ignores SIGINT, and so would every program that a test starts and interrupts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if is_required() and find_description() is None:
        raise pytest.UsageError(MISSING)
    config.stash[LOGS] = []
    config.stash[SECRETS] = {}
    config.stash[LEAKS] = []


def pytest_sessionstart(session: pytest.Session) -> None:
    """What is logged inside this process is looked at in the end as well."""
    log = Path(session.config._tmp_path_factory.mktemp("logs")) / "pytest.log"  # type: ignore[attr-defined]
    handler = logging.FileHandler(log)
    logging.getLogger().addHandler(handler)
    session.config.stash[LOGS].append(log)
    session.config.add_cleanup(handler.close)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (
        skips.is_strict()
        and _unexpected_skips(session.config)
        and session.exitstatus == pytest.ExitCode.OK
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    stash = session.config.stash
    stash[LEAKS] += map(str, canaries.leaks(stash[LOGS], stash[SECRETS]))
    if hasattr(
        session.config, "workeroutput"
    ):  # pytest-xdist: one of several processes, whose finds are told below
        session.config.workeroutput["leaks"] = stash[LEAKS]
    elif stash[LEAKS]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _unexpected_skips(config: pytest.Config) -> list[str]:
    """Where reports come together: not in one of pytest-xdist's processes."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return skips.unexpected(reporter.stats.get("skipped", ())) if reporter else []


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Called where pytest-xdist collects, when one of its processes has ended."""
    node.config.stash[LEAKS] += getattr(node, "workeroutput", {}).get("leaks", [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for leak in config.stash[LEAKS]:
        terminalreporter.write_line(f"SECRET LOGGED: {leak}", red=True)
    if skips.is_strict():
        for skip in _unexpected_skips(config):
            terminalreporter.write_line(f"SKIPPED AND NOT EXPECTED: {skip}", red=True)
    if find_description() is None:
        terminalreporter.write_line(f"REQUESTS NOT CHECKED: {MISSING}", yellow=True)
