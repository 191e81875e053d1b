"""Put a plan into force: workers compare jobs with it within seconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import click

from trackrelay.plan.plan_checker import PlanChecker
from trackrelay.plan.plan_evolution import PlanChange, plan_changes
from trackrelay.plan.plan_model import Plan
from trackrelay.worker.cli.common.command_errors import CommandError
from trackrelay.worker.cli.common.command_options import Duration, dry_run_option, json_option
from trackrelay.worker.cli.common.command_stores import open_stores, operator_name
from trackrelay.worker.cli.common.humanize import count, duration
from trackrelay.worker.cli.common.output import print_json, say
from trackrelay.worker.cli.common.plan_options import opened, plan_file_argument
from trackrelay.worker.quality.plan_enforcer import read
from trackrelay.worker.storage import plans
from trackrelay.worker.storage.plans import NewPlan, StoredPlan

#: The longest time for which two versions are in force.
MAX_OVERLAP = timedelta(days=30)


@click.command()
@plan_file_argument
@click.option(
    "--overlap",
    type=Duration(),
    default=timedelta(0),
    metavar="AGE",
    help="How long the previous version stays in force as well, such as 1h during a deploy.",
)
@click.option("--allow-breaking", is_flag=True, help="Accept breaking changes without an overlap.")
@dry_run_option
@json_option
def apply(
    file: str, overlap: timedelta, allow_breaking: bool, dry_run: bool, as_json: bool
) -> None:
    """Put a tracking plan into force.

    FILE is trackrelay-plan.yaml unless TRACKRELAY_PLAN names another file. Workers learn of it with
    their next read, without a restart. With --overlap, a job passes if it keeps to either version.

    Exit status: 1 if the file is wrong, or a change is breaking.
    """
    if overlap > MAX_OVERLAP:
        raise click.UsageError(f"--overlap is at most {MAX_OVERLAP.days}d; it is {overlap.days}d")
    plan = opened(file)
    PlanChecker(plan)
    with open_stores() as stores:
        with stores.engine.connect() as connection:
            current = next((each for each in plans.in_force(connection) if each.is_latest), None)
        changes = _changes(current, plan)
        breaking = sum(each.is_breaking for each in changes)
        if breaking and not (overlap or allow_breaking or dry_run):
            _print_changes(changes)
            raise CommandError(
                f"{count(breaking, 'breaking change')}: jobs that are sent now can violate this "
                "plan. --overlap 1h applies it and lets them pass for an hour, --allow-breaking "
                "applies it and does not"
            )
        version = None if dry_run else _apply(stores.engine, plan, overlap)
    is_new = current is None or current.digest != plan.digest
    if as_json:
        if version is None and current is not None and not is_new:
            version = current.version
        print_json(_document(plan, version, is_new, changes))
        return
    _print_changes(changes)
    if dry_run:
        verb = "would be put into force" if is_new else "is in force already"
        say(f"{plan.name} {verb}. Nothing was changed.")
    elif version is None:
        say(f"{plan.name} is in force already. Nothing was changed.")
    else:
        say(f"{plan.name} is in force as version {version}.")
        if overlap and current is not None:
            wait = duration(overlap.total_seconds())
            say(f"Version {current.version} stays in force beside it for {wait}.")


def _apply(engine: Any, plan: Plan, overlap: timedelta) -> int | None:
    new = NewPlan(plan.name, plan.text, plan.digest)
    with engine.begin() as connection:
        return plans.apply(connection, new, overlap, operator_name())


def _changes(current: StoredPlan | None, plan: Plan) -> tuple[PlanChange, ...]:
    if current is None:
        return ()
    try:
        old, _ = read(current)
    except Exception as error:
        # What this version cannot read, it replaces.
        say(f"trackrelay: version {current.version} cannot be read: {error}", err=True)
        return ()
    return plan_changes(old, plan)


def _print_changes(changes: Sequence[PlanChange]) -> None:
    for each in changes:
        say(f"{'breaking' if each.is_breaking else 'additive'}  {each}")


def _document(
    plan: Plan, version: int | None, is_new: bool, changes: Sequence[PlanChange]
) -> dict[str, Any]:
    return {
        "name": plan.name,
        "version": version,
        "digest": plan.digest,
        "is_new": is_new,
        "changes": [
            {"breaking": each.is_breaking, "place": each.place, "change": each.text}
            for each in changes
        ],
    }
