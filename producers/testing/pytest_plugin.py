"""The fixture. Not loaded by itself: pytest would import us, before any test of anybody's, wherever we are installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .capture_context import capture
from .captured import Captured


@pytest.fixture
def captured_operations() -> Iterator[Captured]:
    """What the test enqueues, which goes nowhere else; see :class:`trackrelay.testing.Captured`."""
    with capture() as captured:
        yield captured
