"""``--edit``: a dead letter's document in the user's editor, until it passes the checks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from trackrelay.operations.json_values import NotJsonError, decode_json
from trackrelay.worker.cli.common.command_errors import CommandFailed
from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.common.output import stderr
from trackrelay.worker.dead_letters.eligibility import Kind, Wanted
from trackrelay.worker.dead_letters.patch import Patch
from trackrelay.worker.dead_letters.replay_batches import Replayer
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import DeadLetter
from trackrelay.worker.telemetry.visible_text import visible_lines

from .dead_letter_render import document_of, found_of, why

#: What the editor begins with when there is no document.
TEMPLATE = {"type": "person", "identifiers": {"id": "…"}, "action": "identify", "attributes": {}}


def edited(stores: Stores, replayer: Replayer, ids: Sequence[str], wanted: Wanted) -> Patch:
    """What becomes of the one letter's document in the editor.

    Raises:
        CommandFailed: there are several letters, or nothing was changed.
    """
    if len(ids) != 1:
        raise CommandFailed(
            f"--edit takes one dead letter at a time; {len(ids):,} match: choose one with --id"
        )
    with stores.engine.connect() as connection:
        found = dead_letter_queries.load(connection, ids)
    if not found:
        raise CommandFailed(f"there is no dead letter {ids[0]}")
    return _edit(replayer, found[0], wanted)


def _edit(replayer: Replayer, letter: DeadLetter, wanted: Wanted) -> Patch:
    if refusal := _refusal(replayer, letter, wanted, of=("state", "delivered", "removed", "newer")):
        raise CommandFailed(f"{letter.id}: {refusal}")
    console = stderr()
    console.print(f"{letter.id}: {why(letter)}")
    if letter.found is not None:
        console.print(f"What was found: {found_of(letter)}", overflow="fold")
    before = document_of(letter)
    text = (
        visible_lines(
            json.dumps(TEMPLATE if before is None else before, indent=2, ensure_ascii=False)
        )
        + "\n"
    )
    while True:
        text = _from_editor(text)
        problem, document = _read(text)
        if problem is None and document == before:
            raise CommandFailed(
                "the document was not changed; nothing was replayed (without --edit it is replayed as it is)"
            )
        repair = Patch(document=document)
        problem = problem or _refusal(
            replayer, letter, replace(wanted, repair=repair), of=("invalid", "repair", "keys")
        )
        if problem is None:
            return repair
        console.print(problem, style="red")
        click.confirm("Edit it again?", default=True, abort=True, err=True)


def _from_editor(text: str) -> str:
    changed = click.edit(text, extension=".json")
    if changed is None:
        raise CommandFailed("the document was not saved; nothing was replayed")
    return changed


def _read(text: str) -> tuple[str | None, dict[str, Any] | None]:
    try:
        document = decode_json(text)
    except NotJsonError as error:
        return f"This is not JSON: {error}", None
    if not isinstance(document, dict):
        return "The document must be a JSON object", None
    return None, document


def _refusal(
    replayer: Replayer, letter: DeadLetter, wanted: Wanted, of: tuple[Kind, ...]
) -> str | None:
    (outcome,) = replayer.plan([letter.id], wanted)
    return next((each.why for each in outcome.refused if each.kind in of), None)
