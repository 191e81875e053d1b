"""No sequence of events loses a job, repeats one, or turns two around.

`make test ARGS='tests/integration/worker/model --hypothesis-profile=long'` searches for longer.
What it finds becomes a test of test_counterexamples.py.
"""

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.integration.worker.model.machine import Harness
from tests.integration.worker.model.world import World

#: The usual profile takes what a test run can afford; `--hypothesis-profile=long` searches longer.
LONG = settings.default.max_examples > 100


@pytest.mark.timeout(0 if LONG else 900)
def test_nothing_that_can_happen_loses_repeats_or_reorders_anything(world: World) -> None:
    class InThisWorld(Harness):
        pass

    InThisWorld.world = world
    how = settings(
        max_examples=settings.default.max_examples // 5,
        stateful_step_count=50 if LONG else 25,
        derandomize=not LONG,
    )
    run_state_machine_as_test(InThisWorld, settings=how)
