"""``dead-letters list``."""

from __future__ import annotations

import time

from rich.console import Console
from rich.table import Table

from ...store import letters
from ...store.letters import Filters, Letter
from ..output import print_json, stdout
from ..stores import Stores
from ..words import ago
from .texts import as_json, summary, why


def list_letters(stores: Stores, chosen: Filters, limit: int, as_document: bool) -> None:
    """Print the letters meant, those that died last first."""
    with stores.engine.connect() as connection:
        counts = letters.counts(connection, chosen)
        found = letters.load(connection, letters.newest_ids(connection, chosen, limit))
    total = sum(each.letters for each in counts)
    if as_document:
        print_json({"total": total, "dead_letters": [as_json(letter) for letter in found]})
        return
    console = stdout()
    if not found:
        console.print("No dead letters." if chosen == Filters(states=("open",)) else "No dead letter matches.")
        return
    console.print(_table(console, found, one_state=len(chosen.states) == 1))
    more = f" The latest {len(found):,} are shown; --limit shows more." if total > len(found) else ""
    console.print(f"\n{summary(counts)}.{more}")
    console.print(f"Everything about one: trackrelay dead-letters show {found[0].id}", style="dim")


def _table(console: Console, found: list[Letter], *, one_state: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("dead letter", no_wrap=True, min_width=26)
    table.add_column("died", no_wrap=True)
    if not one_state:
        table.add_column("state", no_wrap=True)
    table.add_column("operation", no_wrap=True)
    table.add_column("key", overflow="ellipsis", no_wrap=True, max_width=24)
    table.add_column("why", overflow="fold", min_width=20)
    now = time.time()
    for letter in found:
        state = [] if one_state else [letter.state]
        table.add_row(letter.id, ago(now - letter.died_at), *state, letter.operation, ", ".join(letter.keys), why(letter))
    return table
