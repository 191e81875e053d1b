"""``trackrelay check``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import click
from redis.exceptions import RedisError
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trackrelay.errors import ConfigurationError
from trackrelay.queue.redis_keys import MOVING
from trackrelay.worker.queue import queue_config

from .check import customerio_check, outbox_check, postgres_check, redis_check, settings_check
from .check.finding import Finding, State
from .common.command_errors import CommandFailed
from .common.command_stores import Stores, open_stores
from .common.humanize import count
from .common.output import print_json, show

_MARKS: dict[State, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "wrong": ("✗", "bold red"),
    "skipped": ("–", "dim"),
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def check(as_json: bool) -> None:
    """Say what is configured, reached and migrated, and what is wrong.

    Changes nothing. Exit status 1 if anything is wrong; a warning says what is at stake and does not fail.
    """
    found = list(_findings())
    wrong = [each for each in found if each.state == "wrong"]
    if as_json:
        print_json({"ok": not wrong, "findings": [_document(each) for each in found]})
    else:
        show(_table(found))
    if wrong:
        raise CommandFailed("\n".join(_line(each) for each in wrong))


def _findings() -> Iterator[Finding]:
    yield from settings_check.findings(os.environ)
    try:
        with open_stores() as stores:
            yield from redis_check.findings(stores.redis, stores.settings)
            queue = _queue(stores)
            yield from postgres_check.findings(stores.engine, stores.settings, queue)
            if stores.outbox is not None:
                yield from outbox_check.findings(
                    stores.outbox, queue, lambda lease: _stands(stores, lease)
                )
            yield from customerio_check.findings(stores.settings)
    except ConfigurationError:
        for area in (redis_check.AREA, postgres_check.AREA, customerio_check.AREA):
            yield Finding(area, "reached", "skipped", "not tried: correct the settings first")


def _queue(stores: Stores) -> postgres_check.QueueLook:
    try:
        moving: Any = stores.redis.get(MOVING)
        return postgres_check.QueueLook(queue_config.read(stores.redis), (moving or b"").decode())
    except RedisError:
        return postgres_check.QueueLook()


def _stands(stores: Stores, key: str) -> bool:
    try:
        return bool(stores.redis.exists(key))
    except RedisError:
        return True  # not known; that Redis does not answer is said elsewhere


def _document(found: Finding) -> dict[str, str]:
    return {"area": found.area, "name": found.name, "state": found.state, "text": found.text}


def _line(found: Finding) -> str:
    # What names itself needs no introduction.
    return (
        found.text if found.name in ("reached", "settings") else f"{_subject(found)}: {found.text}"
    )


def _subject(found: Finding) -> str:
    return found.name if found.name.isupper() else f"{found.area}, {found.name}"


def _table(found: list[Finding]) -> RenderableType:
    grid = Table.grid(padding=(0, 1), pad_edge=True)
    grid.add_column(width=2, justify="right")
    grid.add_column()
    grid.add_column()
    area = ""
    for each in found:
        if each.area != area:
            if area:
                grid.add_row()
            grid.add_row("", Text(each.area, style="bold cyan"), "")
            area = each.area
        mark, style = _MARKS[each.state]
        plain = (
            "dim"
            if each.state == "skipped"
            else style
            if each.state in ("wrong", "warning")
            else ""
        )
        grid.add_row(Text(mark, style=style), Text(each.name), Text(each.text, style=plain))
    return Group(grid, Text(), _summary(found))


def _summary(found: list[Finding]) -> Text:
    wrong, warnings = (sum(each.state == state for each in found) for state in ("wrong", "warning"))
    if wrong:
        return Text(f"{count(wrong, 'thing')} to correct.", style="bold red")
    if warnings:
        return Text(f"Works; {count(warnings, 'warning')}.", style="bold yellow")
    return Text("Everything is as it should be.", style="bold green")
