"""Found jobs for a reader: a few in full, many as a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from trackrelay.worker.cli.common.humanize import ago, clock, count, duration
from trackrelay.worker.cli.common.output import fact_table, list_table, runnable
from trackrelay.worker.cli.verification.verdict_items import item_text
from trackrelay.worker.reasons import LedgerOutcome
from trackrelay.worker.storage.letter_history import left_out_text
from trackrelay.worker.storage.queries.job_search import Match, Place
from trackrelay.worker.storage.verdicts import Verdict

from .job_query import FoundJob, limited

#: Up to this many jobs are shown in full.
MAX_IN_FULL = 3
COLOURS = {
    "unrelayed": "cyan",
    "queued": "cyan",
    "waiting": "yellow",
    "delivered": "green",
    "dead": "red",
    "replaying": "yellow",
    "discarded": "dim",
    "blocked": "dim",
    "erased": "dim",
}
_NOT_RELAYED = {
    "not_relayed": "waits for a relay to move it into the queue "
    "(a worker with TRACKRELAY_OUTBOX_URL, or `trackrelay relay`)",
    "queue_lost": "was relayed into a queue that is gone; a relay moves it again, "
    "unless it had arrived",
}
#: What became of jobs in the ledger that were not delivered.
_DROPPED: dict[str | None, str] = {
    str(outcome): outcome.explanation for outcome in (LedgerOutcome.BLOCKED, LedgerOutcome.ERASED)
}
_IN_PLACES: dict[Place, str] = {
    "outbox": "in the outbox",
    "stream": "in the streams",
    "backlog": "in the backlog",
    "dead_letters": "among the dead letters",
    "ledger": "delivered",
}


def render_jobs(
    query: str,
    jobs: Sequence[FoundJob],
    totals: Mapping[Place, int],
    now: float,
    *,
    limit: int,
    verdicts: Mapping[str, Sequence[Verdict]],
) -> RenderableType:
    """Return the jobs that ``query`` found.

    Args:
        query: what was looked for.
        jobs: those that were loaded, the latest first.
        totals: how many there are in each place.
        now: unix seconds.
        limit: how many to show.
        verdicts: what became of delivered jobs, by the job's id.
    """
    to_show = limited(jobs, limit)
    parts: list[RenderableType] = [_summary(query, jobs, totals), Text()]
    if len(to_show) <= MAX_IN_FULL:
        for job in to_show:
            parts += [_in_full(job, now, verdicts.get(job.id, ())), Text()]
    else:
        parts.append(_list(to_show, now))
    if len(jobs) > limit:
        blocking = ", and the jobs that others wait for" if len(to_show) > limit else ""
        text = f"The latest {limit} are shown{blocking}; --limit shows more."
        parts.append(Text(text, style="dim"))
    return Group(*parts)


def _summary(query: str, jobs: Sequence[FoundJob], totals: Mapping[Place, int]) -> Text:
    if sum(totals.values()) > sum(len(job.matches) for job in jobs):
        # Not all of them were loaded, and one job can be in two places.
        parts = ", ".join(
            f"{totals[place]:,} {name}" for place, name in _IN_PLACES.items() if totals.get(place)
        )
        return Text.assemble((query, "bold"), f": {parts}")
    where = Counter(job.where for job in jobs)
    parts = ", ".join(f"{number:,} {name}" for name, number in where.most_common())
    return Text.assemble(
        (query, "bold"), f": {count(len(jobs), 'job')}: {parts}" if len(jobs) > 1 else ""
    )


def _in_full(job: FoundJob, now: float, verdicts: Sequence[Verdict]) -> RenderableType:
    first = job.first
    about = [" and ".join(first.keys), f"from {first.source}" if first.source else ""]
    about += [f"idempotency key {first.idempotency_key}" if first.idempotency_key else ""]
    title = Text.assemble(
        (job.where, f"bold {COLOURS[job.where]}"), " ", (job.id, "bold"), f" {first.operation} "
    )
    title.append("  ".join(filter(None, about)), style="dim")
    table = fact_table([("enqueued", _at(first.enqueued_at, now))])
    for found in job.matches:
        table.add_row(found.place.replace("_", " ").removesuffix("s"), describe_place(found, now))
    for note in dict.fromkeys(found.plan_note for found in job.matches if found.plan_note):
        table.add_row("fixed", Text(f"by the tracking plan: {note}", style="green"))
    for each in verdicts:
        table.add_row("verdict", _verdict(each, now))
    events = [event for found in job.matches for event in found.history]
    for event in sorted(events, key=lambda event: float(event.get("at") or 0)):
        table.add_row("history", _event(event, now))
    return Group(title, Padding(table, (0, 0, 0, 2)))


def describe_place(found: Match, now: float) -> Text:
    """Return how a job is in one place, in a line."""
    match found.place:
        case "outbox":
            return Text(f"{found.lane} lane: {_NOT_RELAYED[found.reason or '']}")
        case "stream":
            return _in_stream(found)
        case "backlog":
            return _in_backlog(found, now)
        case "ledger":
            if found.outcome in _DROPPED:
                return Text(f"{found.outcome} {_at(found.at, now)}: {_DROPPED[found.outcome]}")
            attempt = f", with attempt {found.attempts}" if found.attempts > 1 else ""
            return Text(f"delivered {_at(found.at, now)}{attempt}", style="green")
    error = f": {error_text(found)}" if error_text(found) else ""
    text = Text(
        f"{found.state}, {found.reason} {_at(found.at, now)}{error}",
        style="red" if found.state == "open" else "",
    )
    if found.state == "open":
        text.append("\n→ ", style="dim").append(
            runnable(f"trackrelay dead-letters show {found.id}"), style="bold not red"
        )
    return text


def _verdict(found: Verdict, now: float) -> Text:
    is_open = found.state == "open"
    resolved = "" if is_open else f" (resolved: {found.resolved_by})"
    text = f"{found.verdict} {item_text(found.item)}, {ago(now - found.checked_at)}: {found.reason}"
    return Text(text + resolved, style="red" if is_open else "dim")


def _in_stream(found: Match) -> Text:
    where = f"shard {found.shard}, {found.lane} lane"
    if found.deliveries:
        times = "" if found.deliveries == 1 else f", for the {found.deliveries}th time"
        return Text(f"{where}: a worker is processing it{times}")
    position = f"{count(found.ahead, 'job')} before it" if found.ahead else "next in line"
    return Text(f"{where}: not read yet, {position}")


def _in_backlog(found: Match, now: float) -> Text:
    since = duration(now - (found.at or now))
    text = f"shard {found.shard}, {found.lane} lane, for {since}: {found.reason}"
    if found.ahead:
        text += f", behind {count(found.ahead, 'earlier job')} of its key"
    elif found.due_at is not None:
        left = found.due_at - now
        text += (
            f", next attempt in {duration(left)}"
            if left > 0
            else ", next attempt as soon as delivery is possible"
        )
    if found.attempts:
        text += f"; {count(found.attempts, 'attempt')} counted"
    return Text(f"{text}; {error_text(found)}" if error_text(found) else text, style="yellow")


def error_text(found: Match) -> str:
    """Return the last error, with the field and the status that it names."""
    error = f"{found.field}: {found.error}" if found.field and found.error else found.error or ""
    return f"{error} ({found.status})" if found.status and str(found.status) not in error else error


def _event(event: dict[str, Any], now: float) -> Text:
    parts = [f"{_at(event.get('at'), now)}: {str(event.get('what', '')).replace('_', ' ')}"]
    parts += [f"by {event['who']}"] if event.get("who") else []
    parts += [str(event[name]) for name in ("status", "field", "error") if event.get(name)]
    parts += filter(None, [left_out_text(event)])
    return Text(": ".join(parts), style="dim")


def _at(moment: float | None, now: float) -> str:
    if moment is None:
        return "at an unknown time"
    return f"{clock(moment)}, {ago(now - moment)}"


def _list(jobs: Sequence[FoundJob], now: float) -> RenderableType:
    table = list_table(
        "enqueued",
        "job",
        "operation",
        "where",
        "result",
        left=("job", "operation", "where", "result"),
    )
    for column in table.columns[:4]:
        column.no_wrap = True
    for job in jobs:
        where = Text(job.where, style=COLOURS[job.where])
        enqueued = ago(now - job.first.enqueued_at)
        table.add_row(enqueued, job.id, job.first.operation, where, job_result(job, now))
    return table


def job_result(job: FoundJob, now: float) -> Text:
    """Return what became of a job, in a line."""
    found = next((each for each in job.matches if each.place == "ledger"), job.first)
    if found.place == "ledger":
        result = found.outcome or "delivered"
        return Text(f"{result} {ago(now - (found.at or now))}", style="dim")
    if found.place == "dead_letters":
        return Text(f"{found.reason}: {error_text(found)}")
    return Text(describe_place(found, now).plain)
