"""What every test of the vocabulary needs."""

from collections.abc import Iterator

import pytest

from trackrelay.operations import cautions


@pytest.fixture(autouse=True)
def _no_cautions_yet() -> Iterator[None]:
    cautions.forget()
    yield
    cautions.forget()
