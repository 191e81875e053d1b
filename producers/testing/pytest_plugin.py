"""The pytest fixture.

It is not an entry point: pytest would import trackrelay wherever it is installed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .capture_context import capture
from .captured import Captured


@pytest.fixture
def captured_operations() -> Iterator[Captured]:
    """Capture what the test enqueues; see :class:`trackrelay.testing.Captured`."""
    with capture() as captured:
        yield captured
