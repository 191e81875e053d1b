"""``trackrelay status``."""

from __future__ import annotations

import time

import click
from rich.live import Live

from .common.command_errors import CommandFailed
from .common.command_stores import Stores, open_stores
from .common.output import print_json, show, stdout
from .status.fail_conditions import MEASURES, Condition, parse
from .status.snapshot import Snapshot, take
from .status.status_document import document
from .status.status_hints import hints
from .status.status_screen import screen


def _conditions(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[Condition]:
    return [condition for text in texts for condition in parse(text)]


@click.command(
    epilog="--fail-if knows: "
    + "; ".join(f"{name} ({measure.about})" for name, measure in MEASURES.items())
    + ". Compared with > >= < <= = !=; times as 90s, 10m, 12h, 3d."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--watch", is_flag=True, help="Show it anew every few seconds, until Ctrl-C.")
@click.option(
    "--interval",
    default=2.0,
    type=click.FloatRange(0.2),
    show_default=True,
    help="Seconds, with --watch.",
)
@click.option(
    "--fail-if",
    "conditions",
    multiple=True,
    callback=_conditions,
    metavar="CONDITIONS",
    help="For health checks: exit 1 if one of them holds, e.g. 'oldest>10m,dead_letters>0,beat>2m'.",
)
@click.option("-q", "--quiet", is_flag=True, help="Only what fails.")
def status(
    as_json: bool, watch: bool, interval: float, conditions: list[Condition], quiet: bool
) -> None:
    """Say what is going on, and what to do about it.

    Exit status 1 if Redis, Postgres or the outbox cannot be reached or is not set up, or if a condition of --fail-if holds.
    """
    if watch and (as_json or quiet or conditions):
        raise click.UsageError("--watch goes with none of --json, --fail-if and --quiet")
    with open_stores() as stores:
        if watch:
            return _watch(stores, interval)
        _once(take(stores), as_json, conditions, quiet)


def _once(now: Snapshot, as_json: bool, conditions: list[Condition], quiet: bool) -> None:
    failed = [failure for condition in conditions if (failure := condition.failure(now))]
    what_to_do = hints(now)
    if as_json:
        print_json(document(now, what_to_do, failed))
    elif not quiet:
        show(screen(now, what_to_do))
    wrong = now.problems + failed
    if wrong:
        raise CommandFailed("\n".join(wrong))


def _watch(stores: Stores, interval: float) -> None:
    console = stdout()
    try:
        with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
            while True:
                now = take(stores)
                live.update(screen(now, hints(now)), refresh=True)
                time.sleep(interval)
    except KeyboardInterrupt:
        return
