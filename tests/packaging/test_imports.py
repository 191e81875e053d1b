"""What an import loads, seen by a fresh process; a measurement of coverage would load more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "producers"

SCRIPT = """
import sys, types
# The package without what its __init__ brings along: this is about the vocabulary alone.
package = sys.modules["trackrelay"] = types.ModuleType("trackrelay")
package.__path__ = [sys.argv[1]]
import trackrelay.operations
heavy = {"asyncio", "celery", "difflib", "hashlib", "pydantic", "redis", "ulid", "urllib"}
print(*sorted(heavy & sys.modules.keys()))
"""


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process without coverage, in a folder without our modules."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")
    }
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )


def test_the_vocabulary_is_cheap_to_import() -> None:
    """On the way to the first call nothing is loaded that the first call does not need."""
    run = run_python(SCRIPT, str(PACKAGE))
    assert run.stdout.strip() == ""


def test_neither_package_is_imported_to_ask() -> None:
    asked = (
        "import sys; from trackrelay import operations; operations.track(42, 'seen', {'a': "
        "[1.5]}); "
        "print([name for name in sys.modules if name.partition('.')[0] in ('django', 'werkzeug')])"
    )
    ran = run_python(asked)
    assert ran.stdout.strip() == "[]"


WITHOUT = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name == "customerio":
            raise ModuleNotFoundError("No module named 'customerio'", name=name)
sys.meta_path.insert(0, Hidden())
from trackrelay.worker.devstack.servers import ports
from trackrelay.customerio import CustomerIO, CustomerIOException, Regions
CustomerIO("site", "key", region=Regions.EU)
try:
    CustomerIO(region="eu")
except CustomerIOException as error:
    print(error)
try:
    from trackrelay.customerio import APIClient
except ImportError as error:
    print(error)
assert "requests" not in sys.modules
"""


def test_without_the_official_package_the_client_works_and_what_is_not_replaced_says_so() -> None:
    run = run_python(WITHOUT)
    invalid, missing = run.stdout.splitlines()
    assert invalid == "invalid region provided"
    assert (
        "'APIClient' comes from the official package, which is not installed: "
        "pip install customerio" in missing
    )


def test_nothing_of_ours_is_loaded_into_anybodys_pytest() -> None:
    script = (
        "import pytest, sys; pytest.main(['--version']); "
        "print({'trackrelay', 'producers'} & sys.modules.keys())"
    )
    run = run_python(script)
    assert run.stdout.splitlines()[-1] == "set()"


def test_the_extension_brings_neither_worker_nor_sqlalchemy_along() -> None:
    script = (
        "import trackrelay.flask, sys; "
        "heavy = {'trackrelay.worker', 'celery', 'sqlalchemy', 'redis'}; "
        "print(*sorted(heavy & sys.modules.keys()))"
    )
    run = run_python(script)
    assert run.stdout.strip() == ""


WITHOUT_OPENTELEMETRY = """
import os, sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("opentelemetry", "sentry_sdk"):
            frame = sys._getframe()
            while frame.f_code.co_name == "find_spec" or "importlib" in frame.f_code.co_filename:
                frame = frame.f_back
            if frame.f_globals["__name__"].startswith("trackrelay"):
                print(frame.f_globals["__name__"], "asked for", name)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
os.environ |= {"TRACKRELAY_REDIS_URL": "redis://x", "TRACKRELAY_DATABASE_URL": "postgresql://x"}
from trackrelay import Producer
Producer(backend="memory").track("42", "seen")
import trackrelay.worker.celery, trackrelay.worker.resources
import trackrelay.worker.quality.verification_run
from trackrelay.worker.telemetry import job_traces, work_spans
work_spans.flush_spans()
work = work_spans.Work("deliver", "CLIENT", 1, "1", {})
with work_spans.work_span(work, ["00-" + "a" * 32 + "-" + "b" * 16 + "-01"]) as span:
    span.note("jobs", delivered=1)
print(job_traces.add_current_trace(None, "info", {}))
"""


def test_nothing_asks_for_opentelemetry() -> None:
    """Nothing of ours. Where the process has not imported it, nothing is recorded."""
    run = run_python(WITHOUT_OPENTELEMETRY)
    assert run.stdout.strip() == "{}"
