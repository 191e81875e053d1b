"""Prometheus reads its configuration and the alert rules, and runs the tests of the rules."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.skips import NO_PROMETHEUS

PROMETHEUS = Path(__file__).parents[3] / "deploy" / "prometheus"


def test_prometheus_accepts_the_rules_and_each_fires_when_it_should() -> None:
    if not shutil.which("promtool"):
        pytest.skip(NO_PROMETHEUS)
    for arguments in (
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "trackrelay.rules.test.yml"],
    ):
        answer = subprocess.run(
            ["promtool", *arguments],
            cwd=PROMETHEUS,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
