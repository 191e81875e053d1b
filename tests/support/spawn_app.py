"""Our Celery app with spawned pool processes: ``celery -A tests.support.spawn_app worker``."""

from trackrelay.worker.celery import app

app.conf.worker_pool_start_method = "spawn"
