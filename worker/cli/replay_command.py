"""Send: send dead letters again."""

from __future__ import annotations

from typing import Any

import click

from trackrelay.worker.dead_letters.eligibility import ReplayPolicy
from trackrelay.worker.dead_letters.patch import Patch, PatchError

from .common.command_options import dry_run_option, json_option, require_answer, yes_option
from .common.command_stores import open_stores
from .dead_letters.letter_selection import Selection, filter_options, limit_option, note_option


@click.command(name="replay")
@filter_options(states=("open", "discarded"))
@limit_option
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change the document: attributes.plan=pro. VALUE is JSON or text. Repeatable.",
)
@click.option(
    "--unset",
    "unsets",
    multiple=True,
    metavar="PATH",
    help="Remove PATH from the document. Repeatable.",
)
@click.option("--edit", is_flag=True, help="Change the document of one dead letter in $EDITOR.")
@click.option(
    "--even-if-newer",
    is_flag=True,
    help="Replay even if a later job of the same key was delivered.",
)
@note_option
@dry_run_option
@yes_option
@json_option
def replay(
    *,
    selection: Selection,
    sets: tuple[str, ...],
    unsets: tuple[str, ...],
    even_if_newer: bool,
    **options: Any,
) -> None:
    """Send dead letters again, unchanged or repaired.

    Each dead letter goes to the end of its key's queue, in the bulk lane, and its age starts again.
    A repaired document is checked like that of any other operation. A replay that fails
    becomes the same dead letter again, with a longer history.

    Events and identifies of people carry their own time and can always be replayed. Other
    operations are refused if a later job of the same key was delivered (--even-if-newer overrides
    that). Every operation is refused if its person was deleted or suppressed later.
    A refused dead letter does not change, and the exit status is 1.
    """
    from .dead_letters.letter_replay import ReplayOptions, replay_letters

    if options["edit"] and (sets or unsets):
        raise click.UsageError(
            "--edit changes the whole document: use it without --set and --unset"
        )
    require_answer(options["as_json"], options["yes"], options["dry_run"])
    try:
        policy = ReplayPolicy(repair=Patch.parse(sets, unsets), even_if_newer=even_if_newer)
    except PatchError as error:
        raise click.UsageError(str(error)) from None
    with open_stores() as stores:
        replay_letters(stores, selection(stores.hasher()), policy, ReplayOptions(**options))
