"""Look: list, show, repair, replay, discard and export dead letters."""

from __future__ import annotations

from typing import Any

import click

from .common.command_options import (
    MAX_NUMBER,
    dry_run_option,
    json_option,
    require_answer,
    yes_option,
)
from .common.command_stores import open_stores
from .dead_letters.letter_selection import Selection, filter_options, limit_option, note_option
from .replay_command import replay


@click.group(name="dead-letters")
def dead_letters() -> None:
    """Look at dead letters, repair and replay them, or discard them.

    A dead letter is a job that cannot succeed unless somebody changes something: Customer.io
    refused it, for example. It stays in Postgres with its document, every attempt and every action.
    """


dead_letters.add_command(replay)


@dead_letters.command(name="list")
@filter_options()
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_NUMBER),
    default=50,
    show_default=True,
    metavar="N",
    help="At most N dead letters.",
)
@json_option
def list_(selection: Selection, limit: int, as_json: bool) -> None:
    """List dead letters, the latest first."""
    from .dead_letters.letter_render import list_letters

    with open_stores() as stores:
        list_letters(stores, selection(stores.hasher()), limit, as_json)


@dead_letters.command()
@click.argument("id")
@json_option
def show(id: str, as_json: bool) -> None:
    """Show one dead letter: its document, its error, its history, and what you can do about it.

    ID is the dead letter's id or the beginning of it.
    """
    from .dead_letters.letter_details import show_letter

    if not id.strip():
        raise click.UsageError("ID is empty: `trackrelay dead-letters list` shows the ids")
    with open_stores() as stores:
        show_letter(stores, id, as_json)


@dead_letters.command()
@filter_options(states=("open",))
@limit_option
@note_option
@dry_run_option
@yes_option
@json_option
def discard(*, selection: Selection, **options: Any) -> None:
    """Discard dead letters that nobody needs any more.

    Their rows stay, marked as discarded. `trackrelay replay --state discarded` replays them anyway.
    """
    from .dead_letters.letter_export import DiscardOptions, discard_letters

    require_answer(options["as_json"], options["yes"], options["dry_run"])
    with open_stores() as stores:
        discard_letters(stores, selection(stores.hasher()), DiscardOptions(**options))


@dead_letters.command()
@filter_options()
@limit_option
@click.option(
    "--output",
    "-o",
    default="-",
    type=click.Path(dir_okay=False),
    help="The file to write. Default: stdout.",
)
@click.option(
    "--discard",
    is_flag=True,
    help="Discard what was exported, so that it can be imported again.",
)
@note_option
def export(*, selection: Selection, **options: Any) -> None:
    """Write dead letters as JSON Lines, to repair many of them with your own tools.

    A line holds the reason, and the operation under "operation". Repair the operation, then run
    `trackrelay import` with the file.

    An imported line is the same job with the same id. It is dropped as a duplicate while its dead
    letter is open: export with --discard what you want to import.
    """
    from .dead_letters.letter_export import export_letters

    with open_stores() as stores:
        export_letters(stores, selection(stores.hasher()), **options)
