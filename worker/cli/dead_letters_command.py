"""``trackrelay dead-letters …``, and ``trackrelay replay``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from trackrelay.worker.dead_letters.eligibility import Wanted
from trackrelay.worker.dead_letters.patch import Patch, PatchError
from trackrelay.worker.storage.dead_letter_queries import Filters
from trackrelay.worker.storage.key_hasher import KeyHasher

from .common.command_stores import open_stores
from .common.humanize import MOST
from .dead_letters.selection_options import filters

Chosen = Callable[[KeyHasher], Filters]

_json = click.option("--json", "as_document", is_flag=True, help="One JSON document on stdout.")
_yes = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
_dry_run = click.option("--dry-run", is_flag=True, help="Only say what would be done.")
_limit = click.option(
    "--limit", type=click.IntRange(1, MOST), metavar="N", help="At most so many, the oldest first."
)
_note = click.option("--note", metavar="TEXT", help="Why: kept in each one's history.")


@click.group(name="dead-letters")
def dead_letters() -> None:
    """Jobs that will never succeed as they are: look at them, repair and replay them, or discard them.

    Nothing here deletes anything: a dead letter's row stays, with what was done to it, by whom and when.
    """


@dead_letters.command(name="list")
@filters()
@click.option(
    "--limit",
    type=click.IntRange(1, MOST),
    default=50,
    show_default=True,
    metavar="N",
    help="At most so many.",
)
@_json
def list_(chosen: Chosen, limit: int, as_document: bool) -> None:
    """List dead letters, the latest first."""
    from .dead_letters.dead_letter_list import list_letters

    with open_stores() as stores:
        list_letters(stores, chosen(stores.hasher()), limit, as_document)


@dead_letters.command()
@click.argument("id")
@_json
def show(id: str, as_document: bool) -> None:
    """Show everything about one: its document, each attempt, what was done to it, what can be done about it.

    ID is its id, or the beginning of it.
    """
    from .dead_letters.dead_letter_details import show_letter

    if not id.strip():
        raise click.UsageError("ID is empty; `trackrelay dead-letters list` shows which there are")
    with open_stores() as stores:
        show_letter(stores, id, as_document)


@dead_letters.command(name="replay")
@filters(states=("open", "discarded"))
@_limit
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="PATH=VALUE",
    help="Repair: attributes.plan=pro. JSON or text. Repeatable.",
)
@click.option(
    "--unset", "unsets", multiple=True, metavar="PATH", help="Repair: take this away. Repeatable."
)
@click.option("--edit", is_flag=True, help="Repair one in $EDITOR.")
@click.option(
    "--even-if-newer", is_flag=True, help="Also what a later job of the same key has overtaken."
)
@_note
@_dry_run
@_yes
@_json
def replay(
    *,
    chosen: Chosen,
    sets: tuple[str, ...],
    unsets: tuple[str, ...],
    even_if_newer: bool,
    **given: Any,
) -> None:
    """Send dead letters again, as they are or repaired.

    Each goes to the end of its key's queue, in the bulk lane, and its age begins anew. A repaired one is checked like any
    other operation. One that fails again is the same dead letter, with more history.

    Events, and identifies of people, can be replayed at any time: they carry the time they happened. Anything else is
    refused once a later job of the same key was delivered (--even-if-newer overrides that), and everything is refused once
    its person was deleted or suppressed. What is refused stays as it is, and the exit status is 1.
    """
    from .dead_letters.replay_dialog import How, replay_letters

    if given["edit"] and (sets or unsets):
        raise click.UsageError(
            "--edit changes the whole document; use it without --set and --unset"
        )
    if given["as_document"] and not (given["yes"] or given["dry_run"]):
        raise click.UsageError("--json asks no questions: add --yes, or --dry-run")
    try:
        wanted = Wanted(repair=Patch.parse(sets, unsets), even_if_newer=even_if_newer)
    except PatchError as error:
        raise click.UsageError(str(error)) from None
    with open_stores() as stores:
        replay_letters(stores, chosen(stores.hasher()), wanted, How(**given))


@dead_letters.command()
@filters(states=("open",))
@_limit
@_note
@_dry_run
@_yes
@_json
def discard(*, chosen: Chosen, **given: Any) -> None:
    """Give dead letters up. Their rows stay, marked; `replay --state discarded` takes it back."""
    from .dead_letters.discard import discard_letters

    if given["as_document"] and not (given["yes"] or given["dry_run"]):
        raise click.UsageError("--json asks no questions: add --yes, or --dry-run")
    with open_stores() as stores:
        discard_letters(stores, chosen(stores.hasher()), **given)


@dead_letters.command()
@filters()
@_limit
@click.option(
    "--output", "-o", default="-", type=click.Path(dir_okay=False), help="A file; default: stdout."
)
@click.option(
    "--discard", is_flag=True, help="Discard what was exported: importing it is then no repeat."
)
@_note
@click.pass_context
def export(ctx: click.Context, /, chosen: Chosen, **given: Any) -> None:
    """Write dead letters as JSON Lines, to repair many at once with tools of your own.

    A line says what its dead letter died of, and under "operation" what is to be repaired; `trackrelay import` takes it then.
    Imported, it is the same job under the same id: as long as its dead letter is open, it is dropped as a repeat, so export
    with --discard what you mean to import.
    """
    from .dead_letters.export import export_letters

    with open_stores() as stores:
        ctx.exit(export_letters(stores, chosen(stores.hasher()), **given))
