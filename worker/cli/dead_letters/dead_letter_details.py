"""``dead-letters show``."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from trackrelay.worker.cli.common.command_errors import CommandFailed
from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.common.output import print_json, stdout
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import DeadLetter
from trackrelay.worker.telemetry.visible_text import visible, visible_lines, visible_values

from .dead_letter_hints import hints
from .dead_letter_render import as_json, clock, document_of, found_of, when


def show_letter(stores: Stores, id: str, as_document: bool) -> None:
    """Print everything about one letter, named by its id or the beginning of it."""
    with stores.engine.connect() as connection:
        found = dead_letter_queries.beginning_with(connection, id)
        if not found:
            raise CommandFailed(
                f"there is no dead letter {id}: `trackrelay find {id}` says where a job is"
            )
        if len(found) > 1 and id.upper() not in found:
            raise CommandFailed(f"several dead letters begin with {id}: {', '.join(found)} …")
        (letter,) = dead_letter_queries.load(connection, found[:1])
    if as_document:
        print_json(as_json(letter))
    else:
        _print(stdout(), visible_values(letter))


def _print(console: Console, letter: DeadLetter) -> None:
    console.print(Text.assemble("Dead letter ", (letter.id, "bold")))
    _section(console, "", _facts(letter))
    _section(console, "What was said", _said(letter))
    document = document_of(letter)
    if document is not None:
        text = visible_lines(json.dumps(document, indent=2, ensure_ascii=False))
        _section(
            console, "Document", Syntax(text, "json", background_color="default", word_wrap=True)
        )
    if letter.found is not None:
        what = "Stream entry" if letter.raw is not None else "Document"
        _section(
            console, f"{what}, as it was found", Text(visible(found_of(letter)), overflow="fold")
        )
    _section(console, "History, oldest first", _history(letter))
    _section(console, "What to do", _what_to_do(letter))


def _section(console: Console, title: str, content: Any) -> None:
    if title:
        console.print(f"\n{title}", style="bold")
    console.print(Padding(content, (0, 0, 0, 2), expand=False))


def _rows() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _facts(letter: DeadLetter) -> Table:
    table = _rows()
    table.add_row("state", letter.state)
    table.add_row("operation", letter.operation)
    table.add_row("key" if len(letter.keys) == 1 else "keys", ", ".join(letter.keys))
    table.add_row(
        "enqueued", when(letter.enqueued_at) + (f" by {letter.source}" if letter.source else "")
    )
    table.add_row("died", when(letter.died_at))
    if letter.state != "open":
        table.add_row(letter.state, when(letter.updated_at))
    table.add_row("attempts", str(letter.attempts))
    for name in ("idempotency_key", "trace"):
        if value := getattr(letter, name):
            table.add_row(name.replace("_", " "), value)
    return table


def _said(letter: DeadLetter) -> Table:
    table = _rows()
    table.add_row("reason", letter.reason)
    table.add_row("error", letter.error or "nothing")
    if letter.field:
        table.add_row("field", letter.field)
    if letter.status:
        table.add_row("HTTP status", str(letter.status))
    return table


def _history(letter: DeadLetter) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(
        clock(letter.enqueued_at), "enqueued", f"by {letter.source}" if letter.source else ""
    )
    for event in letter.history:
        table.add_row(clock(event["at"]), event["what"], _happened(event))
    if not any(event["what"] == letter.reason for event in letter.history):
        table.add_row(clock(letter.died_at), letter.reason, "")
    return table


def _happened(event: dict[str, Any]) -> str:
    parts = [f"by {event['who']}"] if "who" in event else []
    parts += [event["note"]] if "note" in event else []
    parts += [f"{event['status']}"] if event.get("status") else []
    parts += [event["field"]] if event.get("field") else []
    parts += [event["error"]] if event.get("error") else []
    parts += [_change(change) for change in event.get("changes", ())]
    parts += [f"although {event['even_if_newer']} is newer"] if "even_if_newer" in event else []
    return "; ".join(parts)


def _change(change: dict[str, Any]) -> str:
    before, after = (
        _short(change[name]) if name in change else "nothing" for name in ("before", "after")
    )
    return f"{change['path']}: {before} → {after}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _what_to_do(letter: DeadLetter) -> Text:
    text = Text(overflow="fold")
    for index, (what, command) in enumerate(hints(letter)):
        text.append(("\n" if index else "") + what)
        if command:
            text.append(f"\n  {command}", style="cyan")
    return text
