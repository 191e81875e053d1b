"""Look: show a person's jobs beside what Customer.io has, and where the two disagree."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import click

from trackrelay.errors import InvalidOperationError
from trackrelay.operations.refs import Person

from .common.command_errors import CommandError
from .common.command_options import MAX_NUMBER, json_option
from .common.command_stores import open_stores
from .common.output import moment, print_json, say, show
from .find.job_document import job_document
from .person.customerio_side import NOT_ASKED, CustomerioSide, read_customerio
from .person.disagreements import disagreements
from .person.our_side import keys_of, read_ours
from .person.person_render import PersonView, render_person
from .reads.read_options import person_named


@click.command()
@click.argument("who", required=False, metavar="[PERSON]")
@click.option("--id", "id_", metavar="ID", help="The person with this id.")
@click.option("--email", metavar="ADDRESS", help="The person with this email address.")
@click.option("--phone", metavar="NUMBER", help="The person with this phone number, +1…")
@click.option("--cio-id", metavar="ID", help="The person with this id of Customer.io.")
@click.option(
    "--limit",
    default=10,
    show_default=True,
    type=click.IntRange(1, MAX_NUMBER),
    metavar="N",
    help="List at most N jobs and N activities.",
)
@json_option
def person(
    who: str | None,
    id_: str | None,
    email: str | None,
    phone: str | None,
    cio_id: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show everything about a person.

    For example `trackrelay person 42` or `trackrelay person email:ada@example.com`. One side is
    what waits, what was delivered when, and dead letters, under each of the person's names. The
    other side is Customer.io's profile, devices, segments and latest activities. It also shows
    where the two disagree.

    Customer.io's side needs CUSTOMERIO_APP_API_KEY. The exit status is 1 if a part cannot be shown,
    or if nobody knows the person.
    """
    asked = _person(who, {"id": id_, "email": email, "phone": phone, "cio_id": cio_id})
    with open_stores() as stores:
        has_key = bool(stores.settings.app_api_key)
        theirs = read_customerio(asked, has_key)
        keys = keys_of(asked, theirs.profile)
        ours = read_ours(stores, keys)
    now = time.time()
    view = PersonView(
        keys,
        ours,
        theirs,
        "" if has_key else NOT_ASKED,
        disagreements(asked, ours.jobs, theirs, now),
        now,
        limit,
    )
    problems = [*ours.problems, *theirs.problems]
    if as_json:
        print_json(_document(view, problems))
    else:
        show(render_person(view))
    for remark in ours.remarks:
        say(f"trackrelay: {remark}", err=True)
    if problems:
        raise CommandError("\n".join(problems))
    if not ours.jobs and theirs.profile is None and not theirs.activities:
        nobody = " and by Customer.io" if theirs.is_known else ""
        raise CommandError(f"no trace of {asked.key} here{nobody}")


def _person(who: str | None, options: dict[str, str | None]) -> Person:
    given = {name: value for name, value in options.items() if value is not None}
    if len(given) + (who is not None) != 1:
        raise click.UsageError("name one person: PERSON, --id, --email, --phone or --cio-id")
    if who is not None:
        return person_named(who, "PERSON")
    try:
        return Person(**given)
    except InvalidOperationError as error:
        raise click.UsageError(str(error)) from None


def _document(view: PersonView, problems: list[str]) -> dict[str, Any]:
    return {
        "keys": list(view.keys),
        "jobs": [job_document(job) for job in view.ours.jobs[: view.limit]],
        "totals": view.ours.totals,
        "customerio": _theirs(view.theirs) if view.theirs.is_known else None,
        "verdicts": [
            asdict(each) | {"checked_at": moment(each.checked_at)} for each in view.ours.verdicts
        ],
        "disagreements": [asdict(each) for each in view.disagreements],
        "problems": [*problems, *([f"Customer.io was {view.not_asked}"] if view.not_asked else [])],
    }


def _theirs(theirs: CustomerioSide) -> dict[str, Any]:
    return {
        "profile": None if theirs.profile is None else asdict(theirs.profile),
        "segments": _all(theirs.segments),
        "objects": _all(theirs.objects),
        "activities": _all(theirs.activities),
    }


def _all(results: list[Any] | None) -> list[dict[str, Any]] | None:
    return None if results is None else [asdict(each) for each in results]
