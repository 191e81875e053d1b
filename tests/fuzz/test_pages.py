"""A run of the fuzzer of pages that is always the same."""

import random

from tests.fuzz import pages
from tests.fuzz.__main__ import until


def test_random_requests_find_no_fault_and_no_way_in(worker_settings: dict[str, str]) -> None:
    assert pages.run(random.Random(1), until(60, cases=150), environment=worker_settings) == 150
