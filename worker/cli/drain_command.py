"""Operate: wait until everything that was enqueued is delivered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

import click

from trackrelay.worker.queue import queue_config
from trackrelay.worker.queue.queue_config import QueueConfigError
from trackrelay.worker.queue.queue_length import jobs_queued
from trackrelay.worker.storage.queries.server_facts import backlog_size

from .common.command_errors import CommandError
from .common.command_options import Duration
from .common.command_stores import Stores, open_stores
from .common.humanize import count, duration, listed
from .common.output import runnable, say
from .common.progress import progress_bar
from .status.snapshot_reader import read_snapshot
from .status.status_hints import hints

_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is still to be delivered."""

    queued: int
    backlog: int = 0
    #: Jobs that are not relayed into the streams yet; None: the outbox is not waited for.
    in_outbox: int | None = None

    @property
    def jobs(self) -> int:
        """All of it."""
        return self.queued + self.backlog + (self.in_outbox or 0)


@click.command()
@click.option(
    "--timeout",
    type=Duration(),
    help="Fail after this duration: 90s, 10m. 0s: only look. Default: wait without a limit.",
)
@click.option(
    "--streams-only",
    is_flag=True,
    help="Wait for the streams only, not for the backlog and the outbox.",
)
def drain(timeout: timedelta | None, streams_only: bool) -> None:
    """Wait until every enqueued job is delivered or a dead letter.

    With TRACKRELAY_OUTBOX_URL, also waits for the jobs in the outbox.

    Useful before an upgrade or a move: stop the applications, then drain. If applications keep
    enqueueing, drain waits for a moment at which nothing is left.

    The exit status is 1 if the timeout passes first. Nothing is lost: the jobs stay where they are.
    """
    with open_stores() as stores:
        started = time.monotonic()
        remaining = _remaining(stores, streams_only)
        if remaining.jobs:
            _print_obstacles(stores)
            until = float("inf") if timeout is None else started + timeout.total_seconds()
            remaining = _wait(stores, streams_only, remaining, until)
        if remaining.jobs:
            raise CommandError(_not_drained(remaining, timeout, streams_only))
        say(f"Drained in {duration(time.monotonic() - started)}.")


def _remaining(stores: Stores, streams_only: bool) -> Remaining:
    config = queue_config.read(stores.redis)
    if config is None:
        raise QueueConfigError("the queue was never set up in this Redis: run `trackrelay migrate`")
    # Count in the direction in which jobs move: one that moves counts twice rather than not at all.
    in_outbox = (
        stores.outbox.waiting(config.generation).jobs
        if stores.outbox and not streams_only
        else None
    )
    queued = jobs_queued(stores.redis, config.shards)
    if streams_only:
        return Remaining(queued)
    with stores.engine.connect() as connection:
        return Remaining(queued, backlog_size(connection), in_outbox)


def _print_obstacles(stores: Stores) -> None:
    for hint in hints(read_snapshot(stores)):
        if hint.severity == "wrong" or hint.command.startswith("trackrelay resume"):
            command = f" → {runnable(hint.command)}" if hint.command else ""
            say(f"trackrelay: {hint.text}{command}", err=True)


def _wait(stores: Stores, streams_only: bool, remaining: Remaining, until: float) -> Remaining:
    total = remaining.jobs
    with progress_bar("Draining", total) as bar:
        while remaining.jobs and time.monotonic() < until:
            total = max(total, remaining.jobs)
            bar.update(total - remaining.jobs, f"{count(remaining.jobs, 'job')} left", total)
            time.sleep(min(_POLL_S, max(0.0, until - time.monotonic())))
            remaining = _remaining(stores, streams_only)
    return remaining


def _not_drained(remaining: Remaining, timeout: timedelta | None, streams_only: bool) -> str:
    parts = [f"{count(remaining.queued, 'job')} in the streams"]
    if not streams_only:
        parts.append(f"{count(remaining.backlog, 'job')} in the backlog")
    if remaining.in_outbox is not None:
        parts.append(f"{count(remaining.in_outbox, 'job')} in the outbox")
    within = f" within {duration(timeout.total_seconds())}" if timeout else ""
    return f"not drained{within}: {listed(parts)}; `trackrelay status` shows why"
