"""Look: compare what was delivered with what Customer.io has, and list the verdicts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import click

from trackrelay.worker.reasons import VerdictKind
from trackrelay.worker.storage import sent_subjects, verdicts
from trackrelay.worker.storage.sent_subjects import Subject
from trackrelay.worker.telemetry.visible_text import visible_values

from .common.command_errors import CommandError
from .common.command_options import MAX_NUMBER, Moment, json_option, keys_of_person
from .common.command_stores import Stores, open_stores, operator_name
from .common.humanize import count, duration, listed
from .common.output import print_json, say, show
from .common.progress import progress_bar

#: People and objects that are compared by default.
SAMPLE = 200
DEFAULT_SINCE_S = 3600.0


@click.command()
@click.option(
    "--person",
    "people",
    multiple=True,
    metavar="PERSON",
    help="Compare a person now: 42, email:ada@example.com, phone:+1…, cio_id:…. Repeatable.",
)
@click.option(
    "--since",
    type=Moment(),
    metavar="TIME",
    help="Compare people and objects to which something was sent since then: 1h, 2026-05-01.",
)
@click.option(
    "--sample",
    type=click.IntRange(1, MAX_NUMBER),
    metavar="N",
    help=f"Compare any N of them. Default: {SAMPLE}.",
)
@click.option(
    "--in-segment",
    "segment",
    type=click.IntRange(1, MAX_NUMBER),
    metavar="ID",
    help="Check also that each of these people is in this segment.",
)
@click.option("--list", "wants_list", is_flag=True, help="List the open verdicts (the default).")
@click.option("--all", "include_resolved", is_flag=True, help="List resolved verdicts too.")
@click.option(
    "--verdict",
    "kinds",
    multiple=True,
    type=click.Choice([str(kind) for kind in VerdictKind if kind != "verified"]),
    help="List only these verdicts. Repeatable.",
)
@click.option(
    "--resolve",
    "resolved",
    multiple=True,
    type=click.IntRange(1, 2**63 - 1),
    metavar="ID",
    help="Mark a verdict as resolved. Repeatable.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_NUMBER),
    default=50,
    show_default=True,
    metavar="N",
    help="How many verdicts to show. --json and --csv show all.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print the list as CSV on stdout.")
@json_option
def verify(**options: Any) -> None:
    """Compare what was delivered with what Customer.io has, or list the verdicts.

    Only what workers with TRACKRELAY_VERIFY remember can be compared. The exit status is 1 if
    something is not right, if nothing is remembered, or if verdicts are open.
    """
    compares = bool(options["people"] or options["since"] is not None or options["sample"])
    compares = compares or options["segment"] is not None
    lists = options["wants_list"] or options["include_resolved"] or options["kinds"]
    if (compares + bool(lists) + bool(options["resolved"])) > 1:
        raise click.UsageError(
            "compare (--person, --since, --sample, --in-segment), list (--list, --all, --verdict) "
            "or --resolve: one of them at a time"
        )
    if options["as_csv"] and (compares or options["resolved"] or options["as_json"]):
        raise click.UsageError("--csv is for the list, and not together with --json")
    with open_stores() as stores:
        if compares:
            _compare(stores, options)
        elif options["resolved"]:
            _resolve(stores, options["resolved"], options["as_json"])
        else:
            _list(stores, options)


def _list(stores: Stores, options: dict[str, Any]) -> None:
    from .verification.verdict_items import verdict_document
    from .verification.verdict_render import render_verdicts, verdicts_csv

    kinds: Sequence[str] | None = options["kinds"] or None
    with stores.engine.connect() as connection:
        found = verdicts.select(
            connection, include_resolved=options["include_resolved"], verdicts=kinds
        )
    shown = visible_values(found)
    if options["as_json"]:
        print_json([verdict_document(each) for each in found])
    elif options["as_csv"]:
        say(verdicts_csv(shown))
    elif found:
        show(render_verdicts(shown[: options["limit"]], len(found), time.time()))
    else:
        say("There is no verdict." if options["include_resolved"] else "No verdict is open.")
    wrong = [each for each in found if each.state == "open" and each.verdict in verdicts.BAD]
    if wrong:
        raise CommandError(
            f"{count(len(wrong), 'delivery', 'deliveries')} did not arrive as sent; "
            "`trackrelay verify --resolve ID` closes what needs nothing"
        )


def _resolve(stores: Stores, ids: Sequence[int], as_json: bool) -> None:
    with stores.engine.begin() as connection:
        done = verdicts.resolve(connection, ids, operator_name())
    if as_json:
        print_json({"resolved": done})
    else:
        say(f"{count(len(done), 'verdict')} resolved.")
    if missing := [str(id) for id in ids if id not in done]:
        raise CommandError(f"there is no open verdict {listed(missing, 'or')}")


def _compare(stores: Stores, options: dict[str, Any]) -> None:
    from trackrelay.worker.quality.verification_run import make_api
    from trackrelay.worker.quality.verifier import Verifier

    from .verification.subject_check import SubjectCheck
    from .verification.verdict_render import render_report, report_document

    subjects, asked = _selected(stores, options)
    api = make_api(stores.settings, retry_for=10.0)
    after_s = stores.settings.verify_after.total_seconds()
    verifier = Verifier(stores.engine, stores.redis, api, stores.hasher(), after_s)
    with api, progress_bar("Comparing", len(subjects), shown=len(subjects) > 1) as bar:
        check = SubjectCheck(verifier, options["segment"])
        report = check.run(
            subjects, lambda done: bar.update(done, f"{done:,} of {len(subjects):,}")
        )
    if options["as_json"]:
        print_json(report_document(report, asked))
    else:
        show(render_report(visible_values(report), options["limit"]))
    if report.problem:
        raise CommandError(report.problem)
    if not report.is_right:
        raise CommandError("something is not at Customer.io as it was sent")


def _selected(stores: Stores, options: dict[str, Any]) -> tuple[list[Subject], dict[str, Any]]:
    """Return the subjects to compare, and what was asked.

    Raises:
        CommandError: nothing is remembered of them.
    """
    if people := options["people"]:
        hasher = stores.hasher()
        keys = [key for person in people for key in keys_of_person(person)]
        with stores.engine.connect() as connection:
            found = sent_subjects.among(connection, {hasher.stored(key) for key in keys})
        if not found:
            raise CommandError(_nothing_remembered(stores, f"of {listed(list(people), 'or')}"))
        return found, {"people": list(people), "in_segment": options["segment"]}
    since = options["since"]
    since = time.time() - DEFAULT_SINCE_S if since is None else since
    sample = options["sample"] or SAMPLE
    with stores.engine.connect() as connection:
        found = sent_subjects.sample(connection, since, sample)
    if not found:
        age = duration(time.time() - since)
        raise CommandError(_nothing_remembered(stores, f"that was sent in the last {age}"))
    asked = {"since": since, "sample": sample, "in_segment": options["segment"]}
    return found, asked


def _nothing_remembered(stores: Stores, what: str) -> str:
    settings = stores.settings
    kept = duration(settings.verify_window.total_seconds())
    if settings.verify == "off":
        why = "TRACKRELAY_VERIFY is off; set it to sample or all, also for the workers"
    elif settings.verify == "sample":
        why = (
            f"nothing was sent within {kept} (TRACKRELAY_VERIFY_WINDOW), or it is not in the "
            f"sample of {settings.verify_sample:.3g} (TRACKRELAY_VERIFY_SAMPLE)"
        )
    else:
        why = f"nothing was sent within {kept} (TRACKRELAY_VERIFY_WINDOW)"
    return f"nothing is remembered {what}, so nothing can be compared: {why}"
