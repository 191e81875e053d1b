"""``dead-letters list``."""

from __future__ import annotations

import time

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.common.humanize import ago
from trackrelay.worker.cli.common.output import print_json, stdout
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import DeadLetter, Filters
from trackrelay.worker.telemetry.visible_text import visible_values

from .dead_letter_render import as_json, summary, why


def list_letters(stores: Stores, chosen: Filters, limit: int, as_document: bool) -> None:
    """Print the letters meant, those that died last first."""
    with stores.engine.connect() as connection:
        counts = dead_letter_queries.counts(connection, chosen)
        found = dead_letter_queries.load(
            connection, dead_letter_queries.newest_ids(connection, chosen, limit)
        )
    total = sum(each.letters for each in counts)
    if as_document:
        print_json({"total": total, "dead_letters": [as_json(letter) for letter in found]})
        return
    console = stdout()
    if not found:
        console.print(
            "No dead letters." if chosen == Filters(states=("open",)) else "No dead letter matches."
        )
        return
    _print(console, visible_values(found), one_state=len(chosen.states) == 1)
    more = (
        f" The latest {len(found):,} are shown; --limit shows more." if total > len(found) else ""
    )
    console.print(f"{summary(counts)}.{more}")
    console.print(f"Everything about one: trackrelay dead-letters show {found[0].id}", style="dim")


def _print(console: Console, found: list[DeadLetter], *, one_state: bool) -> None:
    # Two lines each: what was said does not fit beside everything else, and is what people look for.
    now = time.time()
    rows = [
        (
            ago(now - letter.died_at),
            *([] if one_state else [letter.state]),
            letter.operation,
            _keys(letter),
        )
        for letter in found
    ]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for letter, row in zip(found, rows, strict=True):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.print(Text.assemble((letter.id, "bold"), f"  {cells.rstrip()}"))
        style = "yellow" if letter.state == "open" else "dim"
        console.print(Padding(Text(why(letter), style), (0, 0, 0, 4), expand=False))
    console.print()


def _keys(letter: DeadLetter) -> str:
    return ", ".join(key if len(key) <= 32 else f"{key[:31]}…" for key in letter.keys)
