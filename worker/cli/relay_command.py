"""``trackrelay relay``: the relay beside an application, where no worker has its database."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

import click

from trackrelay.worker.relay.relay_loop import Loop, make_loop
from trackrelay.worker.relay.relay_queue import LEASE_MS

from .common.command_errors import CommandFailed
from .common.command_stores import Stores, open_stores
from .common.humanize import count
from .common.output import say

#: How long --once waits for another relay to let go of the outbox.
ONCE_WAIT_S = LEASE_MS / 1000 + 1


@click.command()
@click.option(
    "--once", is_flag=True, help="Relay what is committed now, let go of what has arrived, and end."
)
def relay(once: bool) -> None:
    """Take the rows of TRACKRELAY_OUTBOX_URL on into the queue, within a second of their commit, until stopped.

    Workers with TRACKRELAY_OUTBOX_URL do the same. Any number may run: one works at a time, the others stand by.
    """
    with open_stores() as stores:
        url = stores.settings.outbox_url.get_secret_value()
        if not url:
            raise CommandFailed("TRACKRELAY_OUTBOX_URL is not set")
        from trackrelay.worker.relay.sql_outbox_rows import SqlRows

        if stores.outbox is not None:
            stores.outbox.check_file()
            if once:
                stores.outbox.waiting(None)  # says what is wrong, and where
        stop = threading.Event()
        loop = make_loop(SqlRows(url), stores.settings, stores.redis, stores.engine, stop)
        if once:
            _once(loop)
        else:
            _until_stopped(loop, stores, stop)


def _until_stopped(loop: Loop, stores: Stores, stop: threading.Event) -> None:
    from trackrelay.worker.telemetry.log_setup import configure

    configure(stores.settings)

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, end)
    loop.run()


def _once(loop: Loop) -> None:
    give_up = time.monotonic() + ONCE_WAIT_S
    while not loop.take():
        if time.monotonic() > give_up:
            say(
                "trackrelay: another relay is at work on this outbox, and relays what is committed",
                err=True,
            )
            return
        time.sleep(0.2)
    try:
        while loop.look() == 0:
            pass
    finally:
        loop.give_up()
    if loop.done.trouble:
        raise CommandFailed("\n".join(dict.fromkeys(loop.done.trouble.values())))
    done = loop.done
    say(
        f"{count(done.relayed, 'job')} relayed; {count(done.confirmed, 'earlier one')} arrived and let go"
    )
