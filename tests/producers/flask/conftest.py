"""Flask leaves marks on `producers`: each test begins without them."""

from collections.abc import Iterator

import pytest

from producers import Producer, default, environment


@pytest.fixture(autouse=True)
def no_application() -> Iterator[None]:
    """No application of another test says settings, or how to enqueue."""
    yield
    default.produce_with(Producer)
    environment.set_framework_settings(dict)
