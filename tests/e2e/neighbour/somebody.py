"""Another Celery application, with default settings, on the same Redis and the same Postgres."""

import os

from celery import Celery, shared_task
from redis import Redis

app = Celery(
    "somebody", broker=os.environ["NEIGHBOUR_REDIS_URL"], backend=os.environ["NEIGHBOUR_REDIS_URL"]
)


@shared_task
def add(a: int, b: int) -> int:
    """A task as in every tutorial; leaves a trace of each run."""
    Redis.from_url(os.environ["NEIGHBOUR_REDIS_URL"]).incr("somebody:runs")
    return a + b
