"""Random calls, of a fixed seed."""

from __future__ import annotations

import random

import pytest

from tests.fuzz import calls

#: About ten seconds of an idle processor.
CASES = 40_000


@pytest.mark.timeout(900)
def test_every_call_ends_in_an_id_or_in_an_error_of_ours() -> None:
    assert calls.run(random.Random(1), lambda tried: tried < CASES) == CASES
