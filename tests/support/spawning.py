"""Our Celery app with spawned pool processes: ``celery -A tests.support.spawning worker``."""

from trackrelay.worker.celery import app

app.conf.worker_pool_start_method = "spawn"
