"""A run of the fuzzer of entries that is always the same."""

import random

from tests.fuzz import entries
from tests.fuzz.__main__ import until


def test_random_entries_hold_up_no_healthy_job(worker_settings: dict[str, str]) -> None:
    assert (
        entries.run(random.Random(1), until(seconds=20, cases=100_000), environment=worker_settings)
        > 0
    )
