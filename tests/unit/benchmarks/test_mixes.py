"""Each mix of the benchmarks is made of valid operations."""

import pytest

from benchmarks.mixes import MIXES
from trackrelay.operations.registry import BY_NAME


@pytest.mark.parametrize("name", MIXES)
def test_a_mix_yields_as_many_operations_as_it_is_asked_for(name: str) -> None:
    made = list(MIXES[name](200))
    assert len(made) == 200
    assert {operation.name for operation in made} <= set(BY_NAME)
