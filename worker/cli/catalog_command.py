"""Look: what was observed of events and attributes."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import click
from rich.console import Group
from rich.text import Text

from trackrelay.worker.quality.catalog import Attribute, Catalog, SubjectStats, catalog_of
from trackrelay.worker.quality.lateness import quantile_s
from trackrelay.worker.storage.queries.catalog_query import catalog_rows
from trackrelay.worker.telemetry.visible_text import visible

from .common.command_options import Duration, json_option
from .common.command_stores import open_stores
from .common.humanize import ago, count, duration, share
from .common.output import list_table, moment, print_json, show

#: Types of one attribute that a line shows.
MAX_TYPES = 4
NOTHING = (
    "Nothing was observed yet. Workers add what they deliver to the catalog within seconds, "
    "unless TRACKRELAY_CATALOG is 0."
)


@click.command()
@click.argument("event", required=False)
@click.option("--source", help="Only what this application sent.")
@click.option(
    "--changed-since",
    type=Duration(),
    metavar="AGE",
    help="Only names that appeared, or were last seen, within AGE, such as 7d.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: one line for each type.")
@json_option
def catalog(
    event: str | None,
    source: str | None,
    changed_since: timedelta | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Show which events and attributes applications send, with their types.

    EVENT is the name of an event, or an operation such as person.identify. Without it, all are
    listed. The catalog never holds a value.
    """
    with open_stores() as stores, stores.engine.connect() as connection:
        found = catalog_of(catalog_rows(connection, source))
    subjects = list(found.named(event) if event else found.subjects.values())
    if changed_since is not None:
        subjects = _changed(subjects, time.time() - changed_since.total_seconds())
    if as_json:
        print_json(_document(found, subjects))
    elif as_csv:
        click.echo(_csv(subjects), nl=False)
    elif not subjects:
        click.echo("Nothing matches." if found.subjects else NOTHING)
    elif event:
        show(_details(subjects))
    else:
        show(_overview(found, subjects))


def _changed(subjects: Iterable[SubjectStats], since: float) -> list[SubjectStats]:
    """Return subjects with the attributes that appeared since then, or disappeared since then."""
    changed = []
    for stats in subjects:
        attributes = {
            path: attribute
            for path, attribute in stats.attributes.items()
            if any(each.first_seen >= since for each in attribute.types)
            or (since <= attribute.last_seen < stats.last_seen and _is_over(stats, attribute))
        }
        if attributes or stats.first_seen >= since:
            stats.attributes = attributes
            changed.append(stats)
    return changed


def _is_over(stats: SubjectStats, attribute: Attribute) -> bool:
    """Whether an attribute is missing for longer than its share of jobs explains."""
    missing = stats.jobs - attribute.last_at
    return missing > 0 and (1 - stats.presence(attribute)) ** missing < 0.001


def _overview(found: Catalog, subjects: Sequence[SubjectStats]) -> Group:
    now = time.time()
    texts = ("name", "source")
    table = list_table(*texts, "observed", "attributes", "p95 late", "last seen", left=texts)
    for stats in subjects:
        late = quantile_s(stats.lateness, 0.95)
        table.add_row(
            visible(stats.subject.name or stats.subject.operation),
            visible(stats.subject.source or "–"),
            f"{stats.jobs:,}",
            f"{len(stats.attributes):,}",
            "–" if late is None else lateness_text(late),
            ago(now - stats.last_seen),
        )
    lines: list[Any] = [table, Text(), Text(total_text(found, subjects))]
    if found.overflow:
        sources = ", ".join(f"{name or 'unnamed'}: {n:,}" for name, n in found.overflow.items())
        lines.append(Text(f"Not in the catalog, because it is full: {sources}.", style="yellow"))
    return Group(*lines)


def total_text(found: Catalog, subjects: Sequence[SubjectStats]) -> str:
    """Return how much was observed."""
    observed = sum(stats.jobs for stats in subjects)
    seen = sum(found.seen.values())
    text = f"{count(len(subjects), 'name')}, {observed:,} jobs observed"
    return f"{text} of {seen:,} delivered." if seen > observed else f"{text}."


def lateness_text(seconds: float) -> str:
    """Return a bound of lateness."""
    return "> 3d" if seconds == float("inf") else f"≤ {duration(seconds)}"


def _details(subjects: Sequence[SubjectStats]) -> Group:
    now = time.time()
    parts: list[Any] = []
    for stats in subjects:
        if parts:
            parts.append(Text())
        name = visible(stats.subject.name or stats.subject.operation)
        source = visible(stats.subject.source) or "no source"
        parts.append(
            Text.assemble(
                (name, "bold cyan"),
                (f"  {stats.subject.operation} from {source}", "dim"),
            )
        )
        size = stats.bytes / stats.jobs if stats.jobs else 0
        parts.append(
            Text(
                f"{count(stats.jobs, 'job')} observed since {ago(now - stats.first_seen)}, "
                f"{size:,.0f} bytes on average",
                style="dim",
            )
        )
        texts = ("attribute", "types")
        table = list_table("attribute", "present", "types", "first", "last", left=texts)
        for attribute in stats.attributes.values():
            table.add_row(
                visible(attribute.path),
                share(stats.presence(attribute)),
                types_text(attribute),
                ago(now - attribute.first_seen),
                ago(now - attribute.last_seen),
            )
        parts.append(table)
    return Group(*parts)


def types_text(attribute: Attribute) -> str:
    """Return the types of an attribute, the most frequent first, with their shares."""
    ordered = sorted(attribute.types, key=lambda each: -each.count)
    if len(ordered) == 1:
        return ordered[0].type
    shown = [f"{each.type} {share(each.count / attribute.count)}" for each in ordered[:MAX_TYPES]]
    more = len(ordered) - MAX_TYPES
    return ", ".join([*shown, *([f"{more} more"] if more > 0 else [])])


def _document(found: Catalog, subjects: Sequence[SubjectStats]) -> dict[str, Any]:
    return {
        "delivered": [
            {"source": source, "operation": operation, "jobs": jobs}
            for (source, operation), jobs in found.seen.items()
        ],
        "not_in_the_catalog": found.overflow,
        "names": [
            {
                **stats.subject._asdict(),
                "jobs": stats.jobs,
                "bytes": stats.bytes,
                "first_seen": moment(stats.first_seen),
                "last_seen": moment(stats.last_seen),
                "lateness": stats.lateness,
                "attributes": [
                    {
                        "path": attribute.path,
                        "presence": round(stats.presence(attribute), 4),
                        "types": {each.type: each.count for each in attribute.types},
                        "first_seen": moment(attribute.first_seen),
                        "last_seen": moment(attribute.last_seen),
                    }
                    for attribute in stats.attributes.values()
                ],
            }
            for stats in subjects
        ],
    }


def _csv(subjects: Sequence[SubjectStats]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = ("source", "operation", "name", "attribute", "type", "jobs", "of_jobs")
    writer.writerow([*head, "first_seen", "last_seen"])
    for stats in subjects:
        for attribute in stats.attributes.values():
            for each in attribute.types:
                times = (moment(each.first_seen), moment(each.last_seen))
                writer.writerow(
                    [*stats.subject, attribute.path, each.type, each.count, stats.jobs, *times]
                )
    return out.getvalue()
