"""The scheduler behind ``celery -A trackrelay beat``.

It keeps no file, and adds nothing to a queue that is not read.
"""

from __future__ import annotations

import os
import time
from typing import Any

import structlog
from celery.beat import Scheduler

from trackrelay.configuration.unknown_settings import unknown_settings
from trackrelay.queue.append import MAX_WAKEUPS
from trackrelay.queue.redis_keys import QUEUE_KEY

from .maintenance.heartbeat_keys import BEAT_KEY
from .queue.redis_client import connect
from .settings import settings

log = structlog.get_logger("trackrelay.beat")

#: How long ``status`` shows a beat that stopped.
REMEMBERED_S = 86_400


class BoundedScheduler(Scheduler):  # type: ignore[misc]
    """Celery's scheduler in memory, for tasks that need to be sent only once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._client = connect(settings())
        for name, meant in unknown_settings(os.environ).items():
            log.warning("unknown_setting", name=name, did_you_mean=meant)
        super().__init__(*args, **kwargs)

    def apply_async(
        self, entry: Any, producer: Any = None, advance: bool = True, **kwargs: Any
    ) -> Any:
        """Send a task, unless Celery's queue is full of unread ones."""
        try:
            self._client.set(BEAT_KEY, int(time.time()), ex=REMEMBERED_S)
            waiting = int(self._client.llen(QUEUE_KEY))
        except Exception as error:
            # Celery's own send meets the same error, and logs it too.
            log.warning("redis_unreachable", error=type(error).__name__)
            waiting = 0
        if waiting > MAX_WAKEUPS:
            return self.reserve(entry) if advance else entry
        return super().apply_async(entry, producer=producer, advance=advance, **kwargs)
