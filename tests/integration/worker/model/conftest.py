"""The world of the model."""

from collections.abc import Iterator

import pytest

from tests.integration.worker.model.process import played
from tests.integration.worker.model.world import World


@pytest.fixture
def world(redis_url: str, database_url: str) -> Iterator[World]:
    """Stores, processes, and an API that answers anything."""
    settings = {
        "TRACKRELAY_REDIS_URL": redis_url,
        "TRACKRELAY_DATABASE_URL": database_url,
        "CUSTOMERIO_TRACK_URL": "http://127.0.0.1:1",
        "CUSTOMERIO_SITE_ID": "a site",
        "CUSTOMERIO_TRACK_API_KEY": "a key",
    }
    world = World(settings)
    with played():
        yield world
    world.close()
