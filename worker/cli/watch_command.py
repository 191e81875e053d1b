"""Run: send alerts to a webhook or by email when something is wrong."""

from __future__ import annotations

import signal
import time
from datetime import timedelta
from functools import partial
from threading import Event
from types import FrameType

import click

from trackrelay.worker.settings import Settings
from trackrelay.worker.telemetry.log_setup import configure

from .common.command_errors import CommandError
from .common.command_options import Duration
from .common.command_stores import open_stores
from .common.output import say
from .status.fail_conditions import MEASURES, Condition, parse
from .status.snapshot_reader import read_snapshot
from .watch.alert_channels import Channel, Email, Form, Heartbeat, Webhook, form_of, mail_server
from .watch.alert_message import AlertMessage
from .watch.alert_tracker import AlertTracker, Change
from .watch.watcher import STORES, Place, SharedBook, Watcher, watch_until

#: What is watched if no condition is given.
DEFAULT_CONDITIONS = (
    "workers<1",
    "oldest>10m",
    "breaker=halted",
    "lost>0",
    "dead_letters>100",
    "unavailable>0",
    "memory>60%",
)


def _conditions(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[Condition]:
    return [condition for text in texts or DEFAULT_CONDITIONS for condition in parse(text)]


@click.command(
    epilog="\b\nWhat --if compares, with > >= < <= = !=:\n"
    + "\n".join(f"  {name:<13}{measure.about}" for name, measure in MEASURES.items())
    + f"\n\nWithout --if: {', '.join(DEFAULT_CONDITIONS)}. It always checks that Redis, "
    "Postgres and the outbox answer."
)
@click.option(
    "--if",
    "conditions",
    multiple=True,
    callback=_conditions,
    metavar="CONDITIONS",
    help="Alert if one of these holds, e.g. 'oldest>10m,dead_letters>0'. Repeatable.",
)
@click.option(
    "--for",
    "for_",
    type=Duration(),
    default="2m",
    show_default=True,
    help="How long a condition holds before its alert begins, and does not hold before it ends.",
)
@click.option("--webhook", metavar="URL", help="Default: TRACKRELAY_ALERT_WEBHOOK.")
@click.option(
    "--form",
    type=click.Choice(["slack", "json"]),
    help="What the webhook takes. Default: slack for slack.com, json for others.",
)
@click.option("--email", "recipients", multiple=True, metavar="ADDRESS", help="Repeatable.")
@click.option("--heartbeat", metavar="URL", help="Request this URL after each successful check.")
@click.option("--name", default="trackrelay", show_default=True, help="How messages begin.")
@click.option(
    "--interval",
    default=15.0,
    type=click.FloatRange(1),
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--test", "is_test", is_flag=True, help="Send a test message, and end.")
def watch(
    conditions: list[Condition],
    for_: timedelta,
    webhook: str | None,
    form: Form | None,
    recipients: tuple[str, ...],
    heartbeat: str | None,
    name: str,
    interval: float,
    is_test: bool,
) -> None:
    """Send an alert when something is wrong, and another message when it is over.

    Several watchers may run: one of them sends each message. An alert names what to do, and links
    to the console if TRACKRELAY_CONSOLE_URL is set.
    """
    with open_stores() as stores:
        settings = stores.settings
        channels = _channels(settings, webhook, form, recipients)
        place = Place(name, settings.console_url)
        if is_test:
            return _test(channels, place)
        configure(settings)
        tracker = AlertTracker(for_.total_seconds(), for_.total_seconds())
        book = SharedBook(stores.engine)
        names = {*STORES, *(condition.text for condition in conditions)}
        book.resume(tracker, names, time.time())
        url = heartbeat or settings.alert_heartbeat.get_secret_value()
        stop = Event()

        def end(_signal: int, _frame: FrameType | None) -> None:
            stop.set()

        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, end)
        watch_until(
            stop,
            Watcher(conditions, tracker, book, channels, place),
            partial(read_snapshot, stores),
            interval,
            Heartbeat(url) if url else None,
        )


def _channels(
    settings: Settings, webhook: str | None, form: Form | None, recipients: tuple[str, ...]
) -> list[Channel]:
    channels: list[Channel] = []
    if url := webhook or settings.alert_webhook.get_secret_value():
        if not url.startswith(("https://", "http://")):
            raise CommandError("the webhook's URL must begin with https://")
        channels.append(Webhook(url, form or form_of(url)))
    if recipients:
        try:
            server = mail_server(settings.smtp_url.get_secret_value())
        except ValueError as error:
            raise CommandError(f"TRACKRELAY_SMTP_URL: {error}") from None
        channels.append(Email(server, recipients))
    if not channels:
        raise CommandError("there is no recipient: give --webhook, --email, or both")
    return channels


def _test(channels: list[Channel], place: Place) -> None:
    from .watch.alert_channels import NotSentError

    now = time.time()
    change = Change("test", "firing", "this is a test of the alerts", now)
    message = AlertMessage(change, "redis", "", place.name, place.console_url, now)
    for channel in channels:
        try:
            channel.send(message)
        except NotSentError as error:
            raise CommandError(str(error)) from None
    say("The test message was sent.")
