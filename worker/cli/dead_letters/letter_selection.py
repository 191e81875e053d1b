"""The options that select dead letters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import click

from trackrelay.worker.cli.common.command_options import (
    JOB_FILTERS,
    MAX_NUMBER,
    Moment,
    stored_keys,
)
from trackrelay.worker.reasons import DeathReason
from trackrelay.worker.storage.dead_letter_queries import STATES, Filters, State
from trackrelay.worker.storage.key_hasher import KeyHasher

#: Builds the filters of a command, given what hashes keys.
Selection = Callable[[KeyHasher], Filters]

REASONS = tuple(str(reason) for reason in DeathReason)

limit_option = click.option(
    "--limit",
    type=click.IntRange(1, MAX_NUMBER),
    metavar="N",
    help="At most N dead letters, the oldest first.",
)
note_option = click.option(
    "--note", metavar="TEXT", help="Why you do this; kept in the history of each dead letter."
)


def filter_options(
    *, states: tuple[str, ...] = STATES
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the filter options to a command, which receives them as ``selection``.

    Args:
        states: those that ``--state`` offers.
    """
    options = {
        "ids": click.option(
            "--id", "ids", multiple=True, metavar="ID", help="The dead letter's id. Repeatable."
        ),
        "reasons": click.option(
            "--reason",
            "reasons",
            multiple=True,
            type=click.Choice(REASONS),
            help="Why the job became a dead letter. Repeatable.",
        ),
        **JOB_FILTERS,
        "error": click.option(
            "--error", metavar="TEXT", help="Part of the error message, or of the field's name."
        ),
        "since": click.option(
            "--since",
            type=Moment(),
            metavar="WHEN",
            help="Died at this time or later: 2h (ago), 2026-05-01T12:00 (UTC).",
        ),
        "until": click.option(
            "--until", type=Moment(), metavar="WHEN", help="Died before this time."
        ),
        "states": click.option(
            "--state",
            "states",
            multiple=True,
            type=click.Choice([*states, "all"]),
            help="The state. Repeatable. Default: open.",
        ),
    }

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_selection(**given: Any) -> Any:
            values = {name: given.pop(name) for name in options}
            return command(selection=functools.partial(_filters, values), **given)

        for option in reversed(options.values()):
            with_selection = option(with_selection)
        return with_selection

    return decorate


def _filters(values: dict[str, Any], hasher: KeyHasher) -> Filters:
    return Filters(
        ids=tuple(id.upper() for id in values["ids"]),
        states=_states(values),
        reasons=values["reasons"],
        operations=values["operations"],
        names=values["names"],
        emails=tuple(each.strip().lower() for each in values["emails"]),
        keys=stored_keys(values["people"], values["keys"], hasher),
        sources=values["sources"],
        error=values["error"],
        since=values["since"],
        until=values["until"],
    )


def _states(values: dict[str, Any]) -> tuple[State, ...]:
    if "all" in values["states"]:
        return ()
    # A dead letter that is named by its id is selected in any state.
    return values["states"] or (() if values["ids"] else ("open",))


def missing_ids(filters: Filters, found: Sequence[str]) -> list[str]:
    """Return the ids that were selected and do not exist."""
    # Together with other filters, an existing dead letter may only have been filtered out.
    if filters != Filters(ids=filters.ids):
        return []
    return [id for id in filters.ids if id not in found]
