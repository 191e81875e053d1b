"""Look: which emails, phones, visitors and devices belong to one person."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.console import Group
from rich.text import Text

from trackrelay.worker.quality.catalog import Catalog, catalog_of
from trackrelay.worker.quality.identity_notes import id_form
from trackrelay.worker.storage.queries.catalog_query import catalog_rows
from trackrelay.worker.storage.queries.identity_query import (
    Identities,
    IdentityRow,
    SharedNames,
    rows_of,
)
from trackrelay.worker.storage.queries.identity_query import identities as read_identities
from trackrelay.worker.telemetry.visible_text import visible

from .common.command_errors import CommandError
from .common.command_options import json_option, keys_of_person, parse_key
from .common.command_stores import open_stores
from .common.humanize import ago, count, duration, share
from .common.output import fact_table, heading, list_table, moment, print_json, show

#: Rows about one person.
MAX_ROWS = 200
#: Digits of a hash that a screen shows.
MAX_DIGITS = 6
NOTHING = (
    "Nothing was noted yet. Workers note names of people within seconds, unless "
    "TRACKRELAY_IDENTITIES or TRACKRELAY_CATALOG is 0."
)
_NOUNS = {
    "email": "emails",
    "phone": "phone numbers",
    "cio_id": "ids of Customer.io",
    "anonymous": "anonymous visitors",
    "device": "devices",
}


@click.command()
@click.argument("who", required=False, metavar="[PERSON]")
@json_option
def identities(who: str | None, as_json: bool) -> None:
    """Show how people are named: by which ids, emails, visitors and devices, and where they clash.

    PERSON is an id, an email, or a key such as email:ada@example.com: show which names are known to
    belong together, and the jobs that say so. Names are stored only as keyed hashes.
    """
    with open_stores() as stores:
        if who:
            keys = [stores.hasher().hidden(key) for key in _keys(who)]
            with stores.engine.connect() as connection:
                rows = rows_of(connection, keys, MAX_ROWS)
            return _show_person(who, keys, rows, as_json)
        with stores.engine.connect() as connection:
            found = read_identities(connection)
            forms = _forms(catalog_of(catalog_rows(connection)))
    if as_json:
        print_json(_document(found, forms))
    elif not found.links and not forms:
        click.echo(NOTHING)
    else:
        show(_overview(found, forms))


def _keys(who: str) -> list[str]:
    kind = who.partition(":")[0]
    return [parse_key(who)] if kind in ("anonymous", "email", "phone") else keys_of_person(who)


def _forms(catalog: Catalog) -> dict[str, Counter[str]]:
    """Return by application: the jobs for people who are named in each way."""
    forms: dict[str, Counter[str]] = {}
    for stats in catalog.subjects.values():
        for of_type, jobs in stats.naming.items():
            form = id_form(of_type)
            name = of_type.removeprefix("by ") if form is None else f"id: {form}"
            forms.setdefault(stats.subject.source, Counter())[name] += jobs
    return forms


# -- all people


def _overview(found: Identities, forms: dict[str, Counter[str]]) -> Group:
    parts: list[Any] = []
    if forms:
        parts += [heading("Jobs for people", "how applications name them"), _forms_table(forms)]
    if found.links:
        since = f"noted for {duration(time.time() - (found.since or 0))}"
        parts += [Text(), heading("Names", since), _names_table(found), Text()]
        parts.append(_facts(found))
    if found.share < 1:
        text = f"There is no room for all: {share(found.share)} of the names are kept."
        parts.append(Text(text, style="yellow"))
    return Group(*parts)


def _forms_table(forms: dict[str, Counter[str]]) -> Any:
    texts = ("application", "named by")
    table = list_table(*texts, "jobs", "share", left=texts)
    for source, counts in sorted(forms.items()):
        for index, (form, jobs) in enumerate(counts.most_common()):
            name = "" if index else visible(source) or "–"
            table.add_row(name, form, f"{jobs:,}", share(jobs / counts.total()))
    return table


def _names_table(found: Identities) -> Any:
    table = list_table("names", "known", "of several people", "at most", left=("names",))
    for kind, noun in _NOUNS.items():
        each = found.of(kind)
        if each.names:
            table.add_row(noun, f"{each.names:,}", *_shared(each))
    return table


def _shared(each: SharedNames) -> tuple[str, str]:
    if not each.shared:
        return "none", "1"
    return f"{each.shared:,}  {share(each.shared / each.names)}", f"{each.most} people"


def _facts(found: Identities) -> Any:
    visitors = found.visitors
    rows = [("people", f"{count(found.ids, 'id')}, {found.merged:,} merged into others")]
    if found.by_email:
        both = found.both_ways.names
        rows.append(
            ("named by email", f"{found.by_email:,} people, {both:,} of them have an id elsewhere")
        )
    if visitors.visitors:
        joined = f"{visitors.joined:,} became known ({share(visitors.joined / visitors.visitors)})"
        if visitors.last_joined:
            joined += f", the last one {ago(time.time() - visitors.last_joined)}"
        rows.append(("visitors", f"{visitors.visitors:,} seen, {joined}"))
    return fact_table(rows)


def _document(found: Identities, forms: dict[str, Counter[str]]) -> dict[str, Any]:
    both, visitors = found.both_ways, found.visitors
    return {
        "since": moment(found.since),
        "links": found.links,
        "kept_share": found.share,
        "kept_days": found.kept_days,
        "named_by": [
            {"source": source, "by": form, "jobs": jobs}
            for source, counts in sorted(forms.items())
            for form, jobs in counts.most_common()
        ],
        "ids": found.ids,
        "merged": found.merged,
        "names": [asdict(each) | {"since": moment(each.since)} for each in found.shared],
        "named_by_email": {"people": found.by_email, "with_an_id": both.names, "jobs": both.jobs},
        "visitors": asdict(visitors) | {"last_joined": moment(visitors.last_joined)},
    }


# -- one person


def _show_person(who: str, keys: Sequence[str], rows: Sequence[IdentityRow], as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "keys": keys,
                "links": [
                    asdict(row)
                    | {"first_seen": moment(row.first_seen), "last_seen": moment(row.last_seen)}
                    for row in rows
                ],
            }
        )
        return
    if not rows:
        raise CommandError(f"nothing is known of the names of {who}")
    now = time.time()
    texts = ("name", "", "person", "job", "application")
    table = list_table(*texts, left=texts)
    # A narrow screen folds the last column alone.
    table.columns[0].no_wrap = table.columns[3].no_wrap = True
    for row in rows:
        table.add_row(
            _short(row.name, keys),
            row.how,
            _short(row.person, keys),
            row.job_id,
            f"{visible(row.source) or '–'}, {ago(now - row.last_seen)}",
        )
    show(Group(table, Text(), Text("`trackrelay find JOB` says more of a job.", style="dim")))


def _short(key: str, asked: Sequence[str]) -> Text:
    """Return a hash as a screen shows it; one that was asked for stands out."""
    kind, _, digits = key.partition("#")
    return Text(f"{kind}#{digits[:MAX_DIGITS]}" if digits else "", "bold" if key in asked else "")
