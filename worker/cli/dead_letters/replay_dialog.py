"""``replay``: look at what it would do, ask, do it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from trackrelay.worker.cli.common.command_errors import CommandFailed
from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.common.humanize import count
from trackrelay.worker.cli.common.output import print_json, stderr, stdout
from trackrelay.worker.dead_letters.eligibility import Refused, Wanted
from trackrelay.worker.dead_letters.replay_batches import Outcome, Tally
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import Filters

from .dead_letter_render import by_operation, campaigns, refused_as_json
from .editor import edited
from .operator import replayer
from .progress import progress
from .selection_options import missed

#: Refusals that are listed one by one; --json lists them all.
LISTED = 20


@dataclass(frozen=True, slots=True)
class How:
    """What the command line said, besides which letters."""

    edit: bool
    dry_run: bool
    yes: bool
    as_document: bool
    limit: int | None
    note: str | None


def replay_letters(stores: Stores, chosen: Filters, wanted: Wanted, how: How) -> None:
    """Replay the letters meant.

    Raises:
        CommandFailed: some were refused; the others are on their way.
    """
    with stores.engine.connect() as connection:
        ids = dead_letter_queries.ids(connection, chosen, how.limit)
    ids += missed(chosen, ids)
    wanted = replace(wanted, states=frozenset(chosen.states or ("open",)) & {"open", "discarded"})
    acting = replayer(stores, how.note)
    if how.edit:
        wanted = replace(wanted, repair=edited(stores, acting, ids, wanted))
    plan = run(acting.plan(ids, wanted), len(ids), "Looking")
    if how.dry_run:
        return _report(plan, how, "would be replayed", len(ids))
    if not plan.replayed:
        return _report(plan, how, "replayed", len(ids))
    if not how.as_document:
        _announce(plan)
    if not how.yes:
        _ask(plan)
    done = run(acting.replay(ids, wanted), len(ids), "Replaying", resumable=True)
    _report(done, how, "replayed", len(ids), on_their_way=True)


def run(outcomes: Iterable[Outcome], total: int, what: str, *, resumable: bool = False) -> Tally:
    """Add up outcomes, with a progress bar if there are many; Ctrl-C ends it between two chunks, or takes one back."""
    tally = Tally()
    try:
        with progress(total, what) as advance:
            for outcome in outcomes:
                tally.add(outcome)
                advance(outcome.size)
    except KeyboardInterrupt:
        if not resumable:
            raise
        raise CommandFailed(
            f"interrupted after {tally.replayed:,} of {total:,}: those are on their way, the others stay as they were; the same "
            "command goes on"
        ) from None
    return tally


def _announce(plan: Tally) -> None:
    console = stderr()
    console.print(
        f"{count(plan.replayed, 'dead letter')} will be replayed: {by_operation(plan.by_operation)}."
    )
    _print_campaigns(console, plan)


def _print_campaigns(console: Console, plan: Tally) -> None:
    if words := campaigns(plan.younger_events, plan.older_events):
        console.print(f"{words[:1].upper()}{words[1:]}.")


def _ask(plan: Tally) -> None:
    if plan.refused:
        _print_refused(stderr(), plan.refused)
    click.confirm("Go on?", abort=True, err=True)


def _report(
    tally: Tally, how: How, words: str, selected: int, *, on_their_way: bool = False
) -> None:
    if how.as_document:
        print_json(_as_json(tally, how, selected))
    elif not selected:
        stdout().print("No dead letter matches.")
    else:
        _print_tally(stdout(), tally, how, words)
    if on_their_way and tally.replayed and not how.as_document:
        stderr().print(
            "Still on their way: trackrelay dead-letters list --state replaying", style="dim"
        )
    if tally.refused:
        raise CommandFailed(
            f"{len(tally.refused):,} of {count(selected, 'dead letter')} cannot be replayed"
        )


def _print_tally(console: Console, tally: Tally, how: How, words: str) -> None:
    if tally.replayed:
        console.print(
            f"{count(tally.replayed, 'dead letter')} {words}: {by_operation(tally.by_operation)}."
        )
    else:
        console.print(f"Nothing {words}.")
    if how.dry_run:
        _print_campaigns(console, tally)
    if tally.refused:
        _print_refused(console, tally.refused)


def _print_refused(console: Console, refused: Sequence[Refused]) -> None:
    stays = "stays as it is" if len(refused) == 1 else "stay as they are"
    console.print(
        f"{count(len(refused), 'dead letter')} cannot be replayed, and {stays}:", style="yellow"
    )
    for each in refused[:LISTED]:
        console.print(Text.assemble((each.id, "bold"), f"  {each.operation or ''}"))
        console.print(Padding(each.why, (0, 0, 0, 4), expand=False))
    if len(refused) > LISTED:
        console.print(f"… and {len(refused) - LISTED:,} more; --json lists them all", style="dim")


def _as_json(tally: Tally, how: How, selected: int) -> dict[str, Any]:
    return {
        "dry_run": how.dry_run,
        "selected": selected,
        "would_be_replayed" if how.dry_run else "replayed": tally.replayed,
        "by_operation": dict(tally.by_operation),
        "events_that_may_trigger_campaigns": tally.younger_events,
        "events_that_will_not": tally.older_events,
        "refused": [refused_as_json(each) for each in tally.refused],
    }
