"""Unexpected skips: a test that does not run proves nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

import pytest

#: Set to `1`: a test that is skipped for another reason than these fails the run.
ENVIRONMENT = "TESTS_MUST_RUN"
#: Customer.io's document is not part of the project; its facts are, in
#: tests/support/track_api.json.
NO_ORIGINAL = "there is no copy of Customer.io's openapi.json"
#: A developer may do without. `.ci/run` installs them.
NO_PROMETHEUS = "Prometheus is not installed"
NO_SYSTEMD = "systemd-analyze is not installed"
NO_COMPOSE = "docker-compose is not installed"
NO_TLS = "no Redis that speaks TLS is installed (redis-tools)"
#: Debian's is too old for the manifests. Where it is missing, tests read the files by themselves.
NO_KUBECTL = "kubectl is not installed"
#: A shallow clone.
NO_HISTORY = "git does not reach back to the version before the newest migration"
EXPECTED = (
    NO_ORIGINAL,
    NO_PROMETHEUS,
    NO_SYSTEMD,
    NO_COMPOSE,
    NO_TLS,
    NO_KUBECTL,
    NO_HISTORY,
    "only a server fails over",
    "is about being root, and this run is not",
    "SQLite has one writer: whoever begins second waits before it has begun",
)
_PREFIX = re.compile(r"^Skipped: ")


def is_strict() -> bool:
    """Whether an unexpected skip fails the run."""
    return os.environ.get(ENVIRONMENT) == "1"


def unexpected(reports: Iterable[pytest.TestReport | pytest.CollectReport]) -> list[str]:
    """Return a line for each skipped test whose reason is not expected."""
    found = ((report.nodeid, _reason(report)) for report in reports)
    return [f"{test}: {reason}" for test, reason in found if reason not in EXPECTED]


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    where = report.longrepr
    return _PREFIX.sub("", where[2] if isinstance(where, tuple) else str(where))
