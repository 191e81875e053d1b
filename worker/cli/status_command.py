"""Look: show whether jobs are delivered, and what to do if not."""

from __future__ import annotations

import time

import click
from rich.console import Group
from rich.live import Live

from .common.command_errors import CommandError
from .common.command_options import json_option
from .common.command_stores import Stores, open_stores
from .common.output import print_json, show, stdout
from .status.fail_conditions import MEASURES, Condition, parse
from .status.snapshot import Snapshot
from .status.snapshot_reader import read_snapshot
from .status.status_document import status_document
from .status.status_hints import hints
from .status.status_render import render_status, render_verdict


def _conditions(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[Condition]:
    return [condition for text in texts for condition in parse(text)]


@click.command(
    epilog="\b\nWhat --fail-if compares, with > >= < <= = !=:\n"
    + "\n".join(f"  {name:<13}{measure.about}" for name, measure in MEASURES.items())
)
@json_option
@click.option("--watch", is_flag=True, help="Refresh until Ctrl-C.")
@click.option(
    "--interval",
    default=2.0,
    type=click.FloatRange(0.2),
    show_default=True,
    help="Seconds between two refreshes of --watch.",
)
@click.option(
    "--fail-if",
    "conditions",
    multiple=True,
    callback=_conditions,
    metavar="CONDITIONS",
    help="For health checks: exit with status 1 if one of these holds, "
    "e.g. 'oldest>10m,dead_letters>0,beat>2m'.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only what fails.")
def status(
    as_json: bool, watch: bool, interval: float, conditions: list[Condition], quiet: bool
) -> None:
    """Show whether jobs are delivered, what waits and why, and what to do about it.

    The exit status is 1 if Redis, Postgres or the outbox cannot be reached or is not set up, or if
    a condition of --fail-if holds.
    """
    if watch and (as_json or quiet or conditions):
        raise click.UsageError("--watch cannot be used with --json, --fail-if or --quiet")
    with open_stores() as stores:
        if watch:
            return _watch(stores, interval)
        _once(read_snapshot(stores), as_json, conditions, quiet)


def _once(snapshot: Snapshot, as_json: bool, conditions: list[Condition], quiet: bool) -> None:
    failed = [failure for condition in conditions if (failure := condition.failure(snapshot))]
    what_to_do = hints(snapshot)
    if as_json:
        print_json(status_document(snapshot, what_to_do, failed))
    elif not quiet:
        _show(snapshot)
    wrong = snapshot.problems + failed
    if wrong:
        raise CommandError("\n".join(wrong))


def _show(snapshot: Snapshot) -> None:
    console, rendered = stdout(), render_status(snapshot, hints(snapshot))
    lines = console.render_lines(rendered, pad=False)
    # Where the beginning scrolls out of the window, the verdict is last too; below it is a prompt.
    if console.is_terminal and len(lines) >= console.height:
        rendered = Group(rendered, "", render_verdict(snapshot))
    show(rendered)


def _watch(stores: Stores, interval: float) -> None:
    console = stdout()
    try:
        with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
            while True:
                snapshot = read_snapshot(stores)
                live.update(render_status(snapshot, hints(snapshot)), refresh=True)
                time.sleep(interval)
    except KeyboardInterrupt:
        return
