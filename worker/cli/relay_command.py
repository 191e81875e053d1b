"""Run: move jobs from an application's outbox into the queue."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

import click

from trackrelay.worker.relay.relay_loop import RelayLoop, make_loop
from trackrelay.worker.relay.relay_queue import LEASE_MS

from .common.command_errors import CommandError
from .common.command_stores import Stores, open_stores
from .common.humanize import count
from .common.output import say

#: How long --once waits until another relay releases the outbox.
ONCE_WAIT_S = LEASE_MS / 1000 + 1


@click.command()
@click.option(
    "--once",
    is_flag=True,
    help="Relay the jobs that are committed now, delete those that have arrived, and exit.",
)
def relay(once: bool) -> None:
    """Move jobs from the outbox that TRACKRELAY_OUTBOX_URL names into the queue, until stopped.

    A job is moved within a second of its commit. Workers with TRACKRELAY_OUTBOX_URL do the same:
    run this command where no worker can reach the application's database.

    Several relays can run at the same time: one works, the others stand by.
    """
    with open_stores() as stores:
        url = stores.settings.outbox_url.get_secret_value()
        if not url:
            raise CommandError("TRACKRELAY_OUTBOX_URL is not set")
        from trackrelay.worker.relay.outbox_rows import OutboxRows

        if stores.outbox is not None:
            stores.outbox.check_file()
            if once:
                stores.outbox.waiting(None)  # reports what is wrong with the outbox
        stop = threading.Event()
        loop = make_loop(OutboxRows(url), stores.settings, stores.redis, stores.engine, stop)
        if once:
            _once(loop)
        else:
            _until_stopped(loop, stores, stop)


def _until_stopped(loop: RelayLoop, stores: Stores, stop: threading.Event) -> None:
    from trackrelay.worker.telemetry.log_setup import configure

    configure(stores.settings)

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, end)
    loop.run()


def _once(loop: RelayLoop) -> None:
    give_up = time.monotonic() + ONCE_WAIT_S
    while not loop.take_lease():
        if time.monotonic() > give_up:
            say("trackrelay: another relay works on this outbox and relays its jobs", err=True)
            return
        time.sleep(0.2)
    try:
        while loop.run_pass() == 0:
            pass
    finally:
        loop.release_lease()
    totals = loop.totals
    if totals.errors:
        raise CommandError("\n".join(dict.fromkeys(totals.errors.values())))
    say(
        f"{count(totals.relayed, 'job')} relayed; "
        f"{count(totals.confirmed, 'earlier job')} arrived and deleted from the outbox"
    )
