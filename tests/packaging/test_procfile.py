"""The Procfile; that it delivers is shown in `tests/e2e/worker/test_worker_processes.py`."""

from tests.support.worker_process import ROOT


def test_it_has_a_worker_and_a_beat_and_nothing_that_ends() -> None:
    names = [line.partition(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()]
    assert names == ["worker", "beat"]  # honcho stops everything as soon as one of them ends
