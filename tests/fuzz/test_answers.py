"""A run of the fuzzer of answers that is always the same."""

import random

from tests.fuzz import answers
from tests.fuzz.__main__ import until


def test_random_answers_have_a_meaning() -> None:
    assert answers.run(random.Random(1), until(seconds=20, cases=150_000)) > 0
