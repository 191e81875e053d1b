"""Check the file of a plan, and what a change of it breaks."""

from __future__ import annotations

from typing import Any

import click

from trackrelay.plan.plan_checker import PlanChecker
from trackrelay.plan.plan_errors import PlanError
from trackrelay.plan.plan_evolution import PlanChange, plan_changes
from trackrelay.plan.plan_model import Plan
from trackrelay.worker.cli.common.command_errors import CommandError
from trackrelay.worker.cli.common.command_options import json_option
from trackrelay.worker.cli.common.humanize import count
from trackrelay.worker.cli.common.output import print_json, say
from trackrelay.worker.cli.common.plan_options import opened, plan_file_argument


@click.command()
@plan_file_argument
@click.option(
    "--against",
    metavar="OLD",
    help="Compare with another version; - is stdin. Breaking changes are a failure.",
)
@click.option("--allow-breaking", is_flag=True, help="Report breaking changes without a failure.")
@json_option
def check(file: str, against: str | None, allow_breaking: bool, as_json: bool) -> None:
    """Check a tracking plan.

    FILE is trackrelay-plan.yaml unless TRACKRELAY_PLAN names another file. A change is breaking if
    a job that fits the old plan can violate the new one, or if a name is gone:
    `git show main:trackrelay-plan.yaml | trackrelay plan check --against -`.

    Exit status: 1 if the file is wrong, or a change is breaking.
    """
    try:
        plan = opened(file)
        PlanChecker(plan)
        old = opened(against) if against is not None else None
    except PlanError as error:
        if not as_json:
            raise
        print_json({"problems": [_problem(each) for each in error.problems], "changes": []})
        raise click.exceptions.Exit(1) from None
    changes = plan_changes(old, plan) if old is not None else ()
    if as_json:
        print_json(_document(plan, changes))
    else:
        _print(plan, old, changes)
    breaking = sum(each.is_breaking for each in changes)
    if breaking and not allow_breaking:
        if as_json:
            raise click.exceptions.Exit(1)
        raise CommandError(f"{count(breaking, 'breaking change')}; --allow-breaking accepts them")


def _print(plan: Plan, old: Plan | None, changes: tuple[PlanChange, ...]) -> None:
    for each in changes:
        say(f"{'breaking' if each.is_breaking else 'additive'}  {each}")
    if old is not None and not changes:
        say("Nothing changed.")
    attributes = len(plan.attributes) + sum(len(each.attributes) for each in plan.objects.values())
    say(
        f"{plan.file}: {plan.name} is a valid plan with {count(len(plan.events), 'event')} and "
        f"{count(attributes, 'attribute')}, version {plan.digest[:12]}."
    )


def _document(plan: Plan, changes: tuple[PlanChange, ...]) -> dict[str, Any]:
    return {
        "name": plan.name,
        "version": plan.digest,
        "events": len(plan.events),
        "attributes": len(plan.attributes),
        "objects": len(plan.objects),
        "problems": [],
        "changes": [
            {"breaking": each.is_breaking, "place": each.place, "change": each.text}
            for each in changes
        ],
    }


def _problem(problem: Any) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "place": problem.place,
        "problem": problem.problem,
    }
