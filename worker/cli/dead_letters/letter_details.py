"""Everything about one dead letter, and what can be done about it."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from trackrelay.worker.cli.common.command_errors import CommandError
from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.common.humanize import clock, clock_and_age
from trackrelay.worker.cli.common.output import fact_table, print_json, runnable, stdout
from trackrelay.worker.dead_letters.patch import PatchError, parse_path
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import DeadLetter
from trackrelay.worker.storage.letter_history import left_out_text
from trackrelay.worker.telemetry.visible_text import visible, visible_lines, visible_values

from .letter_render import found_text, letter_as_json

#: Characters of a changed value that the history shows.
MAX_VALUE = 60


def show_letter(stores: Stores, id: str, as_json: bool) -> None:
    """Print everything about the dead letter whose id is ``id`` or begins with it.

    Raises:
        CommandError: there is no such dead letter, or several.
    """
    with stores.engine.connect() as connection:
        found = dead_letter_queries.beginning_with(connection, id)
        if not found:
            raise CommandError(no_letter(id))
        if len(found) > 1 and id.upper() not in found:
            raise CommandError(f"several dead letters begin with {id}: {', '.join(found)} …")
        (letter,) = dead_letter_queries.load(connection, found[:1])
    if as_json:
        print_json(letter_as_json(letter))
    else:
        _print(stdout(), visible_values(letter))


def no_letter(id: str) -> str:
    """Return the error for an id that no dead letter has."""
    return f"there is no dead letter {id}: `trackrelay find {id}` shows where the job is"


def _print(console: Console, letter: DeadLetter) -> None:
    console.print(Text.assemble("Dead letter ", (letter.id, "bold")))
    _section(console, "", _facts(letter))
    _section(console, "Error", _error(letter))
    document = letter.document
    if document is not None:
        text = visible_lines(json.dumps(document, indent=2, ensure_ascii=False))
        _section(
            console, "Document", Syntax(text, "json", background_color="default", word_wrap=True)
        )
    if letter.found is not None:
        what = "Stream entry" if letter.raw is not None else "Document"
        _section(
            console, f"{what}, as it was found", Text(visible(found_text(letter)), overflow="fold")
        )
    _section(console, "History, oldest first", _history(letter))
    _section(console, "What to do", _what_to_do(letter))


def _section(console: Console, title: str, content: Any) -> None:
    if title:
        console.print(f"\n{title}", style="bold")
    console.print(Padding(content, (0, 0, 0, 2), expand=False))


def _facts(letter: DeadLetter) -> Table:
    table = fact_table()
    table.add_row("state", letter.state)
    table.add_row("operation", letter.operation)
    if letter.event_name:
        table.add_row("name", letter.event_name)
    table.add_row("key" if len(letter.keys) == 1 else "keys", ", ".join(letter.keys))
    table.add_row(
        "enqueued",
        clock_and_age(letter.enqueued_at) + (f" by {letter.source}" if letter.source else ""),
    )
    table.add_row("died", clock_and_age(letter.died_at))
    if letter.state != "open":
        table.add_row(letter.state, clock_and_age(letter.updated_at))
    table.add_row("attempts", str(letter.attempts))
    for name in ("idempotency_key", "trace"):
        if value := getattr(letter, name):
            table.add_row(name.replace("_", " "), value)
    return table


def _error(letter: DeadLetter) -> Table:
    table = fact_table([("reason", letter.reason), ("error", letter.error or "none")])
    if letter.field:
        table.add_row("field", letter.field)
    if letter.status:
        table.add_row("HTTP status", str(letter.status))
    return table


def _history(letter: DeadLetter) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(
        clock(letter.enqueued_at), "enqueued", f"by {letter.source}" if letter.source else ""
    )
    for event in letter.history:
        table.add_row(clock(event["at"]), str(event["what"]).replace("_", " "), _event(event))
    if not any(event["what"] == letter.reason for event in letter.history):
        table.add_row(clock(letter.died_at), letter.reason, "")
    return table


def _event(event: dict[str, Any]) -> str:
    parts = [f"by {event['who']}"] if "who" in event else []
    parts += [event["note"]] if "note" in event else []
    parts += filter(None, [left_out_text(event)])
    parts += [str(event[name]) for name in ("status", "field", "error") if event.get(name)]
    parts += [_change(change) for change in event.get("changes", ())]
    if "even_if_newer" in event:
        parts.append(f"although {event['even_if_newer']} is newer")
    return "; ".join(parts)


def _change(change: dict[str, Any]) -> str:
    before, after = (
        _value(change[name]) if name in change else "nothing" for name in ("before", "after")
    )
    return f"{change['path']}: {before} → {after}"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 3]}…"


def _what_to_do(letter: DeadLetter) -> Text:
    text = Text(overflow="fold")
    for index, (what, command) in enumerate(hints_for_letter(letter)):
        text.append(("\n" if index else "") + what)
        if command:
            text.append(f"\n  {runnable(command)}", style="cyan")
    return text


def hints_for_letter(letter: DeadLetter) -> list[tuple[str, str]]:
    """Return what can be done, with the command that does it or "", the likeliest first."""
    replay = _replay(letter)
    match letter.state:
        case "delivered":
            return [("It was replayed and delivered. Nothing is left to do.", "")]
        case "replaying":
            return [
                (
                    "It waits to be delivered again. This shows what it waits for:",
                    f"trackrelay find {letter.id}",
                )
            ]
        case "discarded" if letter.body is None and letter.raw is None:
            text = "Its content was erased by `trackrelay forget`. Only its id stays."
            return [(text, "")]
        case "discarded":
            return [("It was discarded. To replay it anyway:", f"{replay} --state discarded")]
    discard = (
        "To discard it (its row stays, marked):",
        f"trackrelay dead-letters discard --id {letter.id}",
    )
    return [*_hints_for_reason(letter, replay), discard]


def _hints_for_reason(letter: DeadLetter, replay: str) -> list[tuple[str, str]]:
    edit = ("To change the document in your editor and replay it:", f"{replay} --edit")
    match letter.reason:
        case "rejected":
            again = ("If the cause was Customer.io's set-up, and is corrected:", replay)
            return [*_hints_for_field(letter, replay), edit, again]
        case "invalid":
            refused = ("The call was refused. " + edit[0], edit[1])
            return [*_hints_for_field(letter, replay), refused]
        case "ignored":
            cause_gone = ("If the cause in Customer.io is gone:", replay)
            return [
                *_hints_for_field(letter, replay),
                edit,
                *([] if letter.field else [cause_gone]),
            ]
        case "plan":
            plan_changed = ("If the plan was wrong, and another one is in force:", replay)
            return [*_hints_for_field(letter, replay), edit, plan_changed]
        case "exhausted":
            cause = (
                "It failed each time while other jobs were delivered, so its content may be the "
                "cause. To change it:",
                edit[1],
            )
            return [cause, ("To try once more without a change:", replay)]
        case "expired":
            return [
                (
                    "It waited for longer than TRACKRELAY_MAX_AGE. If it is still worth sending:",
                    replay,
                )
            ]
        case "crashed":
            return [
                (
                    "A worker crashed each time it processed this job. Look at the workers' logs "
                    "and memory first. Then:",
                    replay,
                ),
            ]
        case "undecodable":
            return [
                (
                    "Another program wrote this into the queue, or it was damaged. "
                    "To write the intended document:",
                    edit[1],
                )
            ]
    return [("To replay it:", replay)]


def _hints_for_field(letter: DeadLetter, replay: str) -> list[tuple[str, str]]:
    try:
        path = parse_path(letter.field or "")
    except PatchError:
        return []
    if path[0] in ("identifiers", "type", "action") and letter.reason != "invalid":
        return []
    change = (
        f"To change {letter.field} and replay it:",
        f"{replay} --set {letter.field}=VALUE",
    )
    remove = (f"To remove {letter.field} and replay it:", f"{replay} --unset {letter.field}")
    return [change, remove] if path[0] == "attributes" and len(path) > 1 else [change]


def _replay(letter: DeadLetter) -> str:
    return f"trackrelay replay --id {letter.id}"
