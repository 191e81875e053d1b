"""The Celery task that a careful project would write around the official client."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

from celery import Celery
from customerio import CustomerIO

app = Celery("per_call", broker=os.environ.get("TRACKRELAY_REDIS_URL", "redis://127.0.0.1:1/0"))
app.conf.task_ignore_result = True


@lru_cache(maxsize=1)
def _client(pid: int) -> CustomerIO:
    from .contenders import official_client

    return official_client(
        os.environ["CUSTOMERIO_TRACK_URL"],
        os.environ["CUSTOMERIO_SITE_ID"],
        os.environ["CUSTOMERIO_TRACK_API_KEY"],
    )


@app.task(bind=True, max_retries=5, autoretry_for=(Exception,), retry_backoff=True)  # type: ignore[untyped-decorator]
def track(self: Any, person: str, name: str, data: dict[str, Any], ulid: str) -> None:
    """Send one event."""
    _client(os.getpid()).track(person, name, data, id=ulid)
