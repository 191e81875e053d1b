"""Logs: one structlog pipeline for our lines and for everybody else's, JSON in production, readable on a terminal."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from .settings import Settings

_shared: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def configure(settings: Settings | None = None, *, to_stderr: bool = True) -> None:
    """Send all of the process's logging through one pipeline."""
    log_format = settings.log_format if settings else "auto"
    level = getattr(logging, (settings.log_level if settings else "info").upper())
    stream = sys.stderr if to_stderr else sys.stdout
    as_json = log_format == "json" or (log_format == "auto" and not stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(as_json))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Python's warnings, too, are lines like all others.
    logging.captureWarnings(True)
    # Celery says at INFO what each of its tasks is called and returned: with a task every few seconds a shard, noise.
    for noisy in ("celery.app.trace", "celery.worker.strategy", "celery.beat", "kombu", "amqp", "urllib3", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _formatter(as_json: bool) -> logging.Formatter:
    if as_json:
        renderers: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        plain = structlog.dev.plain_traceback
        renderers = [structlog.dev.ConsoleRenderer(exception_formatter=plain, pad_event_to=24)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )
