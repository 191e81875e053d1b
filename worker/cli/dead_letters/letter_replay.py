"""``replay``: look at what a replay would do, ask, replay; with ``--edit``, repair first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from trackrelay.operations.json_values import NotJsonError, decode_json
from trackrelay.worker.cli.common.command_errors import CommandError
from trackrelay.worker.cli.common.command_options import confirm
from trackrelay.worker.cli.common.command_stores import Stores, operator_name
from trackrelay.worker.cli.common.humanize import count, sentence
from trackrelay.worker.cli.common.output import print_json, runnable, stderr, stdout
from trackrelay.worker.cli.common.progress import progress_bar
from trackrelay.worker.dead_letters.eligibility import Kind, RefusedReplay, ReplayPolicy
from trackrelay.worker.dead_letters.patch import Patch
from trackrelay.worker.dead_letters.replay_batches import CHUNK, Outcome, Replayer, Tally
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import DeadLetter, Filters
from trackrelay.worker.telemetry.visible_text import visible_lines

from .letter_render import by_operation, campaigns, found_text, refused_as_json, why
from .letter_selection import missing_ids

#: Refusals that are listed one by one; --json lists all of them.
MAX_LISTED = 20
#: What the editor shows when there is no document.
TEMPLATE = {"type": "person", "identifiers": {"id": "…"}, "action": "identify", "attributes": {}}


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """Options of the command, besides those that select dead letters and repair them."""

    edit: bool
    dry_run: bool
    yes: bool
    as_json: bool
    limit: int | None
    note: str | None


def make_replayer(stores: Stores, note: str | None = None, *, who: str | None = None) -> Replayer:
    """Return what replays and discards in the name of ``who``; None: the user of this machine."""
    delay_s = stores.settings.merge_delay.total_seconds()
    who, note = who or operator_name(), note or None
    return Replayer(stores.engine, stores.redis, stores.hasher(), delay_s, who=who, note=note)


def replay_letters(
    stores: Stores, filters: Filters, policy: ReplayPolicy, options: ReplayOptions
) -> None:
    """Replay the selected dead letters.

    Raises:
        CommandError: some were refused; the others are replayed.
    """
    with stores.engine.connect() as connection:
        ids = dead_letter_queries.ids(connection, filters, options.limit)
    ids += missing_ids(filters, ids)
    policy = replace(policy, states=frozenset(filters.states or ("open",)) & {"open", "discarded"})
    replayer = make_replayer(stores, options.note)
    if options.edit:
        policy = replace(policy, repair=_edit_document(stores, replayer, ids, policy))
    plan = _add_up(replayer.plan(ids, policy), len(ids), "Checking")
    if options.dry_run:
        return _report(plan, options, "would be replayed", len(ids))
    if not plan.replayed:
        return _report(plan, options, "replayed", len(ids))
    if not options.as_json:
        console = stderr()
        console.print(
            f"{count(plan.replayed, 'dead letter')} will be replayed: "
            f"{by_operation(plan.by_operation)}."
        )
        _print_campaigns(console, plan)
    if not options.yes:
        if plan.refused:
            _print_refused(stderr(), plan.refused)
        confirm("Continue?")
    done = _add_up(replayer.replay(ids, policy), len(ids), "Replaying", resumable=True)
    _report(done, options, "replayed", len(ids), started=True)


def _add_up(
    outcomes: Iterable[Outcome], total: int, title: str, *, resumable: bool = False
) -> Tally:
    """Add up outcomes while a progress bar shows how far they are."""
    tally, done = Tally(), 0
    try:
        with progress_bar(title, total, shown=total > CHUNK) as bar:
            for outcome in outcomes:
                tally.add(outcome)
                done += outcome.size
                bar.update(done, f"{done:,} of {total:,}")
    except KeyboardInterrupt:
        if not resumable:
            raise
        raise CommandError(
            f"interrupted: {tally.replayed:,} of {total:,} are replayed, the others are unchanged. "
            "Run the same command again to replay the rest"
        ) from None
    return tally


def _print_campaigns(console: Console, plan: Tally) -> None:
    if text := campaigns(plan.younger_events, plan.older_events):
        console.print(sentence(text))


def _report(
    tally: Tally, options: ReplayOptions, verb: str, selected: int, *, started: bool = False
) -> None:
    if options.as_json:
        print_json(_as_json(tally, options, selected))
    elif not selected:
        stdout().print("No dead letter matches.")
    else:
        _print_tally(stdout(), tally, options, verb)
    if started and tally.replayed and not options.as_json:
        command = runnable("trackrelay dead-letters list --state replaying")
        stderr().print(f"To see which are not delivered yet: {command}", style="dim")
    if tally.refused:
        raise CommandError(
            f"{len(tally.refused):,} of {count(selected, 'dead letter')} cannot be replayed"
        )


def _print_tally(console: Console, tally: Tally, options: ReplayOptions, verb: str) -> None:
    if tally.replayed:
        console.print(
            f"{count(tally.replayed, 'dead letter')} {verb}: {by_operation(tally.by_operation)}."
        )
    else:
        console.print(f"No dead letter {verb}.")
    if options.dry_run:
        _print_campaigns(console, tally)
    if tally.refused:
        _print_refused(console, tally.refused)


def _print_refused(console: Console, refused: Sequence[RefusedReplay]) -> None:
    console.print(
        f"{count(len(refused), 'dead letter')} cannot be replayed and will not change:",
        style="yellow",
    )
    for each in refused[:MAX_LISTED]:
        console.print(Text.assemble((each.id, "bold"), f"  {each.operation or ''}"))
        console.print(Padding(each.why, (0, 0, 0, 4), expand=False))
    if len(refused) > MAX_LISTED:
        console.print(
            f"… and {len(refused) - MAX_LISTED:,} more; --json lists all of them", style="dim"
        )


def _as_json(tally: Tally, options: ReplayOptions, selected: int) -> dict[str, Any]:
    return {
        "dry_run": options.dry_run,
        "selected": selected,
        "would_be_replayed" if options.dry_run else "replayed": tally.replayed,
        "by_operation": dict(tally.by_operation),
        "events_that_may_trigger_campaigns": tally.younger_events,
        "events_that_will_not": tally.older_events,
        "refused": [refused_as_json(each) for each in tally.refused],
    }


def _edit_document(
    stores: Stores, replayer: Replayer, ids: Sequence[str], policy: ReplayPolicy
) -> Patch:
    """Return the document as the user changed it in the editor.

    Raises:
        CommandError: not exactly one dead letter is selected, or nothing was changed.
    """
    if len(ids) != 1:
        raise CommandError(
            f"--edit takes one dead letter, and {len(ids):,} match: select one with --id"
        )
    with stores.engine.connect() as connection:
        found = dead_letter_queries.load(connection, ids)
    if not found:
        raise CommandError(f"there is no dead letter {ids[0]}")
    return _edit(replayer, found[0], policy)


def _edit(replayer: Replayer, letter: DeadLetter, policy: ReplayPolicy) -> Patch:
    if refusal := _refusal(replayer, letter, policy, of=("state", "delivered", "removed", "newer")):
        raise CommandError(f"{letter.id}: {refusal}")
    console = stderr()
    console.print(f"{letter.id}: {why(letter)}")
    if letter.found is not None:
        console.print(f"What was found: {found_text(letter)}", overflow="fold")
    before = letter.document
    shown = json.dumps(TEMPLATE if before is None else before, indent=2, ensure_ascii=False)
    text = f"{visible_lines(shown)}\n"
    while True:
        text = _from_editor(text)
        problem, document = _parse(text)
        if problem is None and document == before:
            raise CommandError(
                "the document was not changed, and nothing was replayed; "
                "without --edit it is replayed unchanged"
            )
        repair = Patch(document=document)
        problem = problem or _refusal(
            replayer, letter, replace(policy, repair=repair), of=("invalid", "repair", "keys")
        )
        if problem is None:
            return repair
        console.print(problem, style="red")
        click.confirm("Edit it again?", default=True, abort=True, err=True)


def _from_editor(text: str) -> str:
    changed = click.edit(text, extension=".json")
    if changed is None:
        raise CommandError("the document was not saved; nothing was replayed")
    return changed


def _parse(text: str) -> tuple[str | None, dict[str, Any] | None]:
    try:
        document = decode_json(text)
    except NotJsonError as error:
        return f"This is not JSON: {error}", None
    if not isinstance(document, dict):
        return "The document must be a JSON object", None
    return None, document


def _refusal(
    replayer: Replayer, letter: DeadLetter, policy: ReplayPolicy, of: tuple[Kind, ...]
) -> str | None:
    (outcome,) = replayer.plan([letter.id], policy)
    return next((each.why for each in outcome.refused if each.kind in of), None)
