"""Celery's worker and beat, which print nothing but log lines where logs are JSON."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from celery.apps import beat, worker

from trackrelay.worker.settings import settings
from trackrelay.worker.telemetry.log_setup import writes_json

#: The file descriptor of stderr.
STDERR = 2


class WorkerProgram(worker.Worker):  # type: ignore[misc]
    """Celery's worker, without a banner among JSON lines."""

    def on_before_init(self, quiet: bool = False, **options: Any) -> None:
        """Note whether to print a banner."""
        as_json = writes_json(settings())
        if as_json:
            # Celery's handlers of signals print with it, and nothing else sets what they print.
            worker.safe_say = _say_as_json
        super().on_before_init(quiet=quiet or as_json, **options)


class BeatProgram(beat.Beat):  # type: ignore[misc]
    """Celery's beat, without a banner among JSON lines."""

    def __init__(self, *args: Any, quiet: bool = False, **options: Any) -> None:
        super().__init__(*args, quiet=quiet or writes_json(settings()), **options)


def _say_as_json(message: str, stream: Any = None) -> None:
    """Write a line of Celery's as our logs are written.

    Safe in a signal handler, where logging is not.
    """
    line = {
        "event": message,
        "level": "info",
        "logger": worker.__name__,
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    # Without a stderr the worker must shut down all the same.
    with suppress(OSError):
        os.write(STDERR, json.dumps(line).encode() + b"\n")
