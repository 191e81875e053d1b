"""The scheduler behind ``celery -A trackrelay beat``: keeps no file, and stops adding to a queue that nobody empties."""

from __future__ import annotations

import os
import time
from typing import Any

import structlog
from celery.beat import Scheduler

from trackrelay.configuration.settings_table import unknown_settings
from trackrelay.queue.append import MAX_WAKEUPS
from trackrelay.queue.redis_keys import QUEUE_KEY

from .maintenance.heartbeat_keys import BEAT_KEY
from .queue.redis_client import connect
from .settings import settings

log = structlog.get_logger("trackrelay.beat")

#: How long a beat that stopped is still shown by ``status``, seconds.
REMEMBERED_S = 86_400


class BoundedScheduler(Scheduler):  # type: ignore[misc]
    """Celery's scheduler, in memory, for tasks that are as good sent once as a thousand times."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._client = connect(settings())
        for name, meant in unknown_settings(os.environ).items():
            log.warning("unknown setting", name=name, did_you_mean=meant)
        super().__init__(*args, **kwargs)

    def apply_async(
        self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any
    ) -> Any:
        """Send a task unless Celery's queue is full of unread ones already."""
        try:
            self._client.set(BEAT_KEY, int(time.time()), ex=REMEMBERED_S)
            waiting = int(self._client.llen(QUEUE_KEY))
        except Exception as error:
            # Celery's own send meets the same trouble, and says so in its own way.
            log.warning("beat cannot reach Redis", error=type(error).__name__)
            waiting = 0
        if waiting > MAX_WAKEUPS:
            return self.reserve(entry) if advance else entry
        return super().apply_async(entry, producer=producer, advance=advance, **kwargs)
