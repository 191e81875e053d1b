"""Dead letters as lists, in words and as JSON."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.common.humanize import ago, count, listed, short
from trackrelay.worker.cli.common.output import moment, print_json, runnable, stdout
from trackrelay.worker.dead_letters.eligibility import RefusedReplay
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import Count, DeadLetter, Filters
from trackrelay.worker.telemetry.visible_text import visible_values

#: Characters of an undecodable document that are shown.
MAX_SHOWN = 10_000
#: Characters of a key, and of an operation with its event's name, that a list shows.
MAX_KEY = 32
MAX_OPERATION = 48


def list_letters(stores: Stores, filters: Filters, limit: int, as_json: bool) -> None:
    """Print the selected dead letters, the latest death first."""
    with stores.engine.connect() as connection:
        counts = dead_letter_queries.counts(connection, filters)
        found = dead_letter_queries.load(
            connection, dead_letter_queries.newest_ids(connection, filters, limit)
        )
    total = sum(each.letters for each in counts)
    if as_json:
        print_json({"total": total, "dead_letters": [letter_as_json(letter) for letter in found]})
        return
    console = stdout()
    if not found:
        console.print(
            "No dead letters."
            if filters == Filters(states=("open",))
            else "No dead letter matches."
        )
        return
    _print_list(console, visible_values(found), one_state=len(filters.states) == 1)
    more = (
        f" The latest {len(found):,} are shown; --limit shows more." if total > len(found) else ""
    )
    console.print(f"{summary(counts)}.{more}")
    command = runnable(f"trackrelay dead-letters show {found[0].id}")
    console.print(f"Details of one: {command}", style="dim")


def _print_list(console: Console, found: list[DeadLetter], *, one_state: bool) -> None:
    # Two lines each: the error is what people look for, and does not fit beside the rest.
    now = time.time()
    rows = [
        (
            ago(now - letter.died_at),
            *([] if one_state else [letter.state]),
            short(f"{letter.operation} {letter.event_name or ''}".strip(), MAX_OPERATION),
            ", ".join(short(key, MAX_KEY) for key in letter.keys),
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


def found_text(letter: DeadLetter) -> str:
    """Return what the queue held in place of a document, cut to a readable length."""
    text = letter.found or ""
    if len(text) <= MAX_SHOWN:
        return text
    return (
        f"{text[:MAX_SHOWN]}… ({len(text):,} characters; `dead-letters show --json` has all of "
        "them)"
    )


def why(letter: DeadLetter) -> str:
    """Return why it died, in a line: ``rejected: attributes.plan: property value …``."""
    parts = [
        letter.reason,
        letter.field if letter.field and letter.field not in (letter.error or "") else None,
        letter.error,
    ]
    return ": ".join(filter(None, parts))


def summary(counts: Iterable[Count]) -> str:
    """Return ``12 open (9 rejected, 3 expired) and 2 discarded (2 rejected)``."""
    by_state: dict[str, Counter[str]] = {}
    for each in counts:
        by_state.setdefault(each.state, Counter())[each.reason] += each.letters
    parts = []
    for state, reasons in by_state.items():
        detail = ", ".join(f"{number:,} {reason}" for reason, number in reasons.most_common())
        parts.append(f"{reasons.total():,} {state} ({detail})")
    return listed(parts)


def by_operation(counts: Counter[str]) -> str:
    """Return ``900 person.event and 12 person.identify``."""
    return listed([f"{number:,} {operation}" for operation, number in counts.most_common()])


def campaigns(younger: int, older: int) -> str:
    """Return whether the replayed events may trigger campaigns."""
    parts = []
    if younger:
        parts.append(f"{count(younger, 'event')} of the last 72 hours may trigger campaigns")
    if older:
        parts.append(f"{count(older, 'event')} older than 72 hours will not trigger campaigns")
    return "; ".join(parts)


def letter_as_json(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as a JSON document has it."""
    return {
        "id": letter.id,
        "state": letter.state,
        "reason": letter.reason,
        "error": letter.error,
        "field": letter.field,
        "status": letter.status,
        "operation": letter.operation,
        "name": letter.event_name,
        "keys": list(letter.keys),
        "source": letter.source,
        "idempotency_key": letter.idempotency_key,
        "attempts": letter.attempts,
        "enqueued_at": moment(letter.enqueued_at),
        "died_at": moment(letter.died_at),
        "updated_at": moment(letter.updated_at),
        "document": letter.document,
        "raw": letter.found,
        "history": [
            event | {name: moment(event[name]) for name in ("at", "died_at") if name in event}
            for event in letter.history
        ],
    }


def refused_as_json(refused: RefusedReplay) -> dict[str, Any]:
    """Return a refusal to replay as a JSON document has it."""
    later = refused.later
    return {
        "id": refused.id,
        "operation": refused.operation,
        "kind": refused.kind,
        "why": refused.why,
        "because_of": later
        and {
            "id": later.id,
            "operation": later.operation,
            "enqueued_at": moment(later.enqueued_at),
            "delivered_at": moment(later.delivered_at),
        },
    }
