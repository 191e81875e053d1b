"""The view of a person: our side, Customer.io's side, and where they disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from trackrelay.app_api import Activity, Profile
from trackrelay.worker.cli.common.humanize import ago, count, short
from trackrelay.worker.cli.common.output import fact_table, heading, runnable
from trackrelay.worker.cli.find.job_query import FoundJob
from trackrelay.worker.cli.find.job_render import COLOURS, job_result
from trackrelay.worker.cli.reads.activity_text import activity_details
from trackrelay.worker.telemetry.visible_text import visible_values

from .customerio_side import CustomerioSide
from .disagreements import Disagreement
from .our_side import OurSide

#: Attributes of a profile that are shown.
MAX_ATTRIBUTES = 15
MAX_VALUE = 60
#: Where a job is that is not done with.
_OPEN = ("unrelayed", "queued", "waiting", "replaying", "dead")


@dataclass(frozen=True, slots=True)
class PersonView:
    """Everything that the view shows."""

    #: The name that was asked for, and further ones.
    keys: Sequence[str]
    ours: OurSide
    theirs: CustomerioSide
    #: Why Customer.io was not asked; empty if it was.
    not_asked: str
    disagreements: Sequence[Disagreement]
    now: float
    #: How many jobs, and how many activities, are listed.
    limit: int


def render_person(view: PersonView) -> RenderableType:
    """Return the view; text from elsewhere is made safe for a terminal."""
    parts: list[RenderableType] = [_title(view), Text(), *_our_side(view), *_their_side(view)]
    if view.ours.verdicts:
        parts += [heading("Verdicts"), _indented(_verdicts(view)), Text()]
    parts += _disagreements(view)
    return Group(*parts)


def _title(view: PersonView) -> Text:
    title = Text(visible_values(view.keys[0]), style="bold")
    if others := visible_values(list(view.keys[1:])):
        title.append(f"  also {', '.join(others)}", style="not bold dim")
    return title


def _our_side(view: PersonView) -> list[RenderableType]:
    jobs = visible_values(view.ours.jobs)
    shown = _to_show(jobs, view.limit)
    parts: list[RenderableType] = [heading("Here", _summary(view))]
    if shown:
        parts.append(_indented(_jobs(shown, view.now)))
        if len(shown) < len(jobs):
            hint = runnable(f"trackrelay find --person {view.keys[0]}")
            parts.append(_indented(Text(f"The latest {len(shown)} are shown: {hint}", style="dim")))
    return [*parts, Text()]


def _to_show(jobs: Sequence[FoundJob], limit: int) -> list[FoundJob]:
    # What waits or died comes before what was delivered: it is what somebody looks for.
    settled = [job for job in jobs if job.where not in _OPEN]
    open_jobs = [job for job in jobs if job not in settled]
    return [*open_jobs[:limit], *settled[: max(0, limit - len(open_jobs))]]


def _jobs(jobs: Sequence[FoundJob], now: float) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for job in jobs:
        result = job_result(job, now)
        if job.where != "delivered":
            result = Text.assemble((job.where, COLOURS[job.where]), ": ", result)
        table.add_row(job.id, job.first.operation, result)
    return table


def _summary(view: PersonView) -> str:
    counts: dict[str, int] = {}
    for job in view.ours.jobs:
        counts[job.where] = counts.get(job.where, 0) + 1
    if "ledger" in view.ours.totals:
        counts["delivered"] = max(counts.get("delivered", 0), view.ours.totals["ledger"])
    parts = [f"{number:,} {where}" for where, number in counts.items()]
    nothing = "not known" if view.ours.problems else "no job of this person"
    return ", ".join(parts) or nothing


def _their_side(view: PersonView) -> list[RenderableType]:
    theirs = view.theirs
    if view.not_asked:
        return [heading("Customer.io", view.not_asked), Text()]
    if not theirs.is_known:
        return [heading("Customer.io", "not known: see below"), Text()]
    if theirs.profile is None:
        parts: list[RenderableType] = [heading("Customer.io", "no such person")]
    else:
        parts = [heading("Customer.io", "has the profile"), _indented(_profile(theirs, view.now))]
    if theirs.activities:
        parts += [Text(), _indented(_activities(theirs, view))]
    return [*parts, Text()]


def _profile(theirs: CustomerioSide, now: float) -> Table:
    profile = visible_values(theirs.profile)
    assert profile is not None
    rows = [
        ("id", Text(profile.id or "–")),
        ("email", Text(profile.email or "–")),
        ("cio_id", Text(profile.cio_id or "–")),
    ]
    if profile.unsubscribed:
        rows.append(("", Text("unsubscribed from everything", style="yellow")))
    rows += _attributes(profile)
    for device in profile.devices:
        used = f", last used {ago(now - device.last_used)}" if device.last_used else ""
        rows.append(("device", Text(f"{device.platform or '?'} {short(device.id, 24)}{used}")))
    for segment in visible_values(theirs.segments or []):
        rows.append(("segment", Text(f"{segment.id} {segment.name or ''}")))
    for related in visible_values(theirs.objects or []):
        named = related.object_id or related.cio_object_id or "?"
        rows.append(("object", Text(f"{related.object_type_id}:{named}")))
    return fact_table(rows)


def _attributes(profile: Profile) -> list[tuple[str, Text]]:
    names = [
        name
        for name in profile.attributes
        if name not in ("id", "email", "cio_id") and not name.startswith("_")
    ]
    rows = [
        (short(name, 24), Text(short(profile.attributes[name], MAX_VALUE)))
        for name in names[:MAX_ATTRIBUTES]
    ]
    if len(names) > MAX_ATTRIBUTES:
        left = count(len(names) - MAX_ATTRIBUTES, "more attribute")
        rows.append(("", Text(f"{left}: --json shows all", style="dim")))
    return rows


def _activities(theirs: CustomerioSide, view: PersonView) -> Table:
    table = fact_table([("activities", Text("the latest", style="dim"))])
    latest = sorted(theirs.activities or [], key=lambda each: each.timestamp, reverse=True)
    for activity in visible_values(latest[: view.limit]):
        table.add_row(ago(view.now - activity.timestamp), _activity(activity))
    return table


def _activity(activity: Activity) -> Text:
    text = Text(f"{activity.type} {activity.name or activity.url or ''}".rstrip())
    details = activity_details(activity)
    return text.append(f"  {short(details, MAX_VALUE)}", style="dim") if details else text


def _verdicts(view: PersonView) -> Table:
    table = fact_table()
    for verdict in visible_values(view.ours.verdicts):
        text = Text(f"{verdict.item}: {verdict.reason}, {ago(view.now - verdict.checked_at)}")
        table.add_row(verdict.verdict, text)
    return table


def _disagreements(view: PersonView) -> list[RenderableType]:
    if not view.disagreements:
        known = view.theirs.is_known and not view.ours.problems and not view.theirs.problems
        return [Text("No disagreement found.", style="green")] if known else []
    table = Table.grid(padding=(0, 1))
    for each in visible_values(list(view.disagreements)):
        table.add_row(Text("✗", style="red"), Text(each.text))
    return [heading("Where they disagree"), _indented(table)]


def _indented(renderable: RenderableType) -> Padding:
    return Padding(renderable, (0, 0, 0, 2))
