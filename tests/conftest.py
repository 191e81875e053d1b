"""The fixtures of every test, and two checks of the whole run.

No secret is logged, and no test is skipped unexpectedly.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog

from tests.support import canaries, skips
from tests.support.run_checks import LEAKS, LOGS, SECRETS
from tests.support.waiting import patient
from trackrelay import Producer, default
from trackrelay.configuration.settings_loader import set_framework_settings
from trackrelay.operations.refs import recognise_people
from trackrelay.sandbox import sandbox_process
from trackrelay.worker.devstack.servers import (
    child_process,
    server_process,
)
from trackrelay.worker.settings import settings

pytest_plugins = [
    f"tests.support.fixtures.{name}_fixtures"
    for name in (
        "server",
        "queue",
        "harness",
        "outbox",
        "dead_letter",
        "django",
        "verification",
        "console",
        "tracing",
    )
]

# Several tests run side by side: how long an example takes says nothing of the code.
hypothesis.settings.register_profile(
    "full", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
# For tests/integration/worker/model, which takes its number of examples from the profile:
# `--hypothesis-profile=long`.
hypothesis.settings.register_profile(
    "long", hypothesis.settings.get_profile("full"), max_examples=5_000, print_blob=True
)
# For `make unit`, which is meant to be quick; `make test` tries four times as many examples.
hypothesis.settings.register_profile(
    "quick", hypothesis.settings.get_profile("full"), max_examples=25
)
hypothesis.settings.load_profile("full")

# The usual start-up limits of servers are for a person who waits, not for a run beside others. A
# session's server that does not start fails every test after it.
sandbox_process.START_S = patient(sandbox_process.START_S)
server_process.START_TIMEOUT_S = patient(server_process.START_TIMEOUT_S)
child_process.SUPERVISOR_TIMEOUT_S = patient(child_process.SUPERVISOR_TIMEOUT_S)


@pytest.fixture(autouse=True)
def no_settings_of_our_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clear the environment, so that each test configures itself."""
    for name in list(os.environ):
        if name.startswith(("TRACKRELAY_", "CUSTOMERIO_")):
            monkeypatch.delenv(name)
    # Django's settings stay loaded in this process; what connects a test's application connects it
    # again.
    default.produce_with(Producer)
    set_framework_settings(lambda _: {})
    recognise_people(lambda _: None)
    # The width of a terminal that is not there: pytest-xdist hands it to its processes.
    monkeypatch.delenv("COLUMNS", raising=False)
    yield
    default._overrides.clear()
    default.configure()
    settings.cache_clear()
    # Log capture leaves structlog configured, and commands would log there instead of to stderr.
    structlog.reset_defaults()


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background job ignores SIGINT, and so would every program that a test starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
