"""Our Celery app with region us at TESTS_US_TRACK_URL: ``celery -A tests.support.elsewhere``."""

import os

from trackrelay.worker.settings import TRACK_URLS

TRACK_URLS["us"] = os.environ["TESTS_US_TRACK_URL"]

from trackrelay.worker.celery import app  # noqa: E402

__all__ = ["app"]
