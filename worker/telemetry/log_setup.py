"""Logging: one structlog pipeline for all loggers; JSON, or readable lines on a terminal."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from trackrelay.worker.settings import Settings

from .job_traces import add_current_trace
from .visible_text import visible, visible_lines

_shared: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    add_current_trace,
]


def writes_json(settings: Settings | None, *, to_stderr: bool = True) -> bool:
    """Return whether log lines are JSON: as set, or because the stream is not a terminal."""
    log_format = settings.log_format if settings else "auto"
    stream = sys.stderr if to_stderr else sys.stdout
    return log_format == "json" or (log_format == "auto" and not stream.isatty())


def configure(settings: Settings | None = None, *, to_stderr: bool = True) -> None:
    """Send all log lines of the process through one pipeline.

    Args:
        settings: format and level; None: the defaults.
        to_stderr: write to stderr, else to stdout.
    """
    level = getattr(logging, (settings.log_level if settings else "info").upper())
    stream = sys.stderr if to_stderr else sys.stdout
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(writes_json(settings, to_stderr=to_stderr)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Python's warnings become log lines too.
    logging.captureWarnings(True)
    # Celery logs each task at INFO: every few seconds and shard, which hides everything else.
    for noisy in (
        "celery.app.trace",
        "celery.worker.strategy",
        "celery.beat",
        "kombu",
        "amqp",
        "urllib3",
        "alembic",
    ):
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


def terminal_renderers(*, colors: bool = True) -> list[Any]:
    """Return the last processors for a terminal: they escape everything but our own colours."""
    return [
        _visible_line,
        structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=_visible_traceback, pad_event_to=24
        ),
    ]


def _visible_line(
    _logger: Any, _method: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return {visible(name): _visible_entry(name, value) for name, value in line.items()}


def _visible_entry(name: str, value: Any) -> Any:
    if name == "exc_info":
        return value
    # The renderer prints other values by their repr, which may not escape everything.
    text = value if isinstance(value, str) else repr(value)
    safe = visible_lines(text) if name in ("event", "exception", "stack") else visible(text)
    return value if safe == text else safe


def _visible_traceback(stream: TextIO, exc_info: Any) -> None:
    written = io.StringIO()
    structlog.dev.plain_traceback(written, exc_info)
    stream.write(visible_lines(written.getvalue()))


def _formatter(as_json: bool) -> logging.Formatter:
    if as_json:
        renderers: list[Any] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        renderers = terminal_renderers()
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )
