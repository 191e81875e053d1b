"""``trackrelay drain``: waits until what was enqueued has been delivered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from trackrelay.worker.queue import queue_config
from trackrelay.worker.queue.queue_config import QueueConfigError
from trackrelay.worker.queue.queue_length import jobs_queued
from trackrelay.worker.settings import parse_duration
from trackrelay.worker.storage.queries.table_sizes import backlog_size

from .common.command_errors import CommandFailed
from .common.command_stores import Stores, open_stores
from .common.humanize import count, duration, listed
from .common.output import say, stderr
from .status.snapshot import take
from .status.status_hints import hints

_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Left:
    """What is still to be delivered."""

    queued: int
    waiting: int = 0
    #: Not relayed into the streams yet; None: there is no outbox, or it is not waited for.
    in_outbox: int | None = None

    @property
    def jobs(self) -> int:
        """All of it."""
        return self.queued + self.waiting + (self.in_outbox or 0)


class Duration(click.ParamType[timedelta]):
    """A time as settings have it: 90s, 10m, 12h, 3d."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option(
    "--timeout",
    type=Duration(),
    help="Give up after so long: 90s, 10m; 0s: only look. Default: never.",
)
@click.option(
    "--streams-only",
    is_flag=True,
    help="Do not wait for backlog and outbox: what cannot be delivered yet, or was not relayed, stays there.",
)
def drain(timeout: timedelta | None, streams_only: bool) -> None:
    """Wait until everything enqueued is delivered, or a dead letter; with TRACKRELAY_OUTBOX_URL also what waits there.

    Before an upgrade or a move, say: stop the applications (or do not: then it waits for a moment at which nothing is
    left), and drain. Exit status 1 if the time runs out; what is left is still there.
    """
    with open_stores() as stores:
        started = time.monotonic()
        left = _left(stores, streams_only)
        if left.jobs:
            _say_what_hinders(stores)
            until = float("inf") if timeout is None else started + timeout.total_seconds()
            left = _wait(stores, streams_only, left, until)
        if left.jobs:
            raise CommandFailed(_not_done(left, timeout, streams_only))
        say(f"Drained in {duration(time.monotonic() - started)}.")


def _left(stores: Stores, streams_only: bool) -> Left:
    config = queue_config.read(stores.redis)
    if config is None:
        raise QueueConfigError("the queue was never set up in this Redis: run `trackrelay migrate`")
    # In the order of a job's road: what moves on meanwhile counts twice rather than not at all.
    in_outbox = (
        stores.outbox.waiting(config.generation).jobs
        if stores.outbox and not streams_only
        else None
    )
    queued = jobs_queued(stores.redis, config.shards)
    if streams_only:
        return Left(queued)
    with stores.engine.connect() as connection:
        return Left(queued, backlog_size(connection), in_outbox)


def _say_what_hinders(stores: Stores) -> None:
    for hint in hints(take(stores)):
        if hint.severity == "wrong" or hint.command.startswith("trackrelay resume"):
            command = f" → {hint.command}" if hint.command else ""
            say(f"trackrelay: {hint.text}{command}", err=True)


def _wait(stores: Stores, streams_only: bool, left: Left, until: float) -> Left:
    columns = (
        TextColumn("draining"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("jobs"),
        TimeElapsedColumn(),
    )
    most, console = left.jobs, stderr()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        bar = progress.add_task("", total=most)
        while left.jobs and time.monotonic() < until:
            most = max(most, left.jobs)
            progress.update(bar, total=most, completed=most - left.jobs)
            time.sleep(min(_POLL_S, max(0.0, until - time.monotonic())))
            left = _left(stores, streams_only)
    return left


def _not_done(left: Left, timeout: timedelta | None, streams_only: bool) -> str:
    parts = [f"{count(left.queued, 'job')} in the streams"]
    if not streams_only:
        parts.append(f"{count(left.waiting, 'job')} in the backlog")
    if left.in_outbox is not None:
        parts.append(f"{count(left.in_outbox, 'job')} in the outbox")
    within = f" within {duration(timeout.total_seconds())}" if timeout else ""
    return f"not drained{within}: {listed(parts)}; `trackrelay status` says why"
