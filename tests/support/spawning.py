"""Our Celery app, for ``celery -A tests.support.spawning worker``: its pool processes are started anew and not forked."""

from trackrelay.worker.celery import app

app.conf.worker_pool_start_method = "spawn"
