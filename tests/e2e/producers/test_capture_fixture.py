"""The fixture for an application's tests, in a separate run."""

import subprocess
import sys
from pathlib import Path

CONFTEST = 'pytest_plugins = ["trackrelay.testing.pytest_plugin"]\n'
SUITE = """
from trackrelay import track

def test_captured(captured_operations):
    track("42", "bought", {"total": 1})
    captured_operations.assert_tracked("42", "bought", total=1)

def test_nothing_is_left_of_the_test_before(captured_operations):
    captured_operations.assert_nothing_enqueued()

def test_fails(captured_operations):
    track("42", "bought", {"total": 1})
    captured_operations.assert_tracked("42", "bought", total=2)
"""


def test_the_fixture_works_and_a_failing_tests_traceback_ends_in_the_test(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_suite.py").write_text(SUITE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:valkey",
        str(tmp_path),
    ]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "1 failed, 2 passed" in run.stdout
    assert "- total: 2" in run.stdout
    assert "captured.py" not in run.stdout
