"""``find`` for a person: a few jobs in full, many as a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from trackrelay.worker.cli.common.humanize import ago, count, duration
from trackrelay.worker.storage.queries.job_search import Place, Trace

from .results import FoundJob, shown

#: Up to so many jobs are shown in full.
IN_FULL = 3
_COLOURS = {
    "unrelayed": "cyan",
    "queued": "cyan",
    "waiting": "yellow",
    "delivered": "green",
    "dead": "red",
    "replaying": "yellow",
    "discarded": "dim",
}


_NOT_RELAYED = {
    "not_relayed": "a relay takes it on into the queue (a worker with TRACKRELAY_OUTBOX_URL, or `trackrelay relay`)",
    "queue_lost": "was relayed into a queue that is gone; a relay takes it on again, unless it had arrived",
}


_IN_PLACES: dict[Place, str] = {
    "outbox": "in the outbox",
    "stream": "in the streams",
    "backlog": "in the backlog",
    "dead_letters": "among the dead letters",
    "ledger": "delivered",
}


def screen(
    words: str, jobs: Sequence[FoundJob], totals: Mapping[Place, int], now: float, *, limit: int
) -> RenderableType:
    """What was found of ``words``.

    Args:
        totals: how many there are in each place; ``jobs`` may be only the latest of them.
    """
    to_show = shown(jobs, limit)
    parts: list[RenderableType] = [_summary(words, jobs, totals), Text()]
    if len(to_show) <= IN_FULL:
        for job in to_show:
            parts += [_in_full(job, now), Text()]
    else:
        parts.append(_list(to_show, now))
    if len(jobs) > limit:
        first = ", and what the others wait for" if len(to_show) > limit else ""
        parts.append(Text(f"The latest {limit} are shown{first}; --limit shows more.", style="dim"))
    return Group(*parts)


def _summary(words: str, jobs: Sequence[FoundJob], totals: Mapping[Place, int]) -> Text:
    if sum(totals.values()) > sum(len(job.traces) for job in jobs):
        # Not all of them were loaded, and one job can be in two places.
        parts = ", ".join(
            f"{totals[place]:,} {name}" for place, name in _IN_PLACES.items() if totals.get(place)
        )
        return Text.assemble((words, "bold"), f": {parts}")
    where = Counter(job.where for job in jobs)
    parts = ", ".join(f"{number:,} {name}" for name, number in where.most_common())
    return Text.assemble(
        (words, "bold"), f": {count(len(jobs), 'job')}: {parts}" if len(jobs) > 1 else ""
    )


def _in_full(job: FoundJob, now: float) -> RenderableType:
    first = job.first
    about = [" and ".join(first.keys), f"from {first.source}" if first.source else ""]
    about += [f"idempotency key {first.idempotency_key}" if first.idempotency_key else ""]
    title = Text.assemble(
        (job.where, f"bold {_COLOURS[job.where]}"), " ", (job.id, "bold"), f" {first.operation} "
    )
    title.append("  ".join(filter(None, about)), style="dim")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    grid.add_row("enqueued", at(first.enqueued_at, now))
    for trace in job.traces:
        grid.add_row(trace.place.replace("_", " ").removesuffix("s"), _told(trace, now))
    for entry in _history(job):
        grid.add_row("history", _happened(entry, now))
    return Group(title, Padding(grid, (0, 0, 0, 2)))


def _told(trace: Trace, now: float) -> Text:
    match trace.place:
        case "outbox":
            return Text(f"{trace.lane} lane: {_NOT_RELAYED[trace.reason or '']}")
        case "stream":
            return _in_stream(trace)
        case "backlog":
            return _in_backlog(trace, now)
        case "ledger":
            tries = f", with attempt {trace.attempts}" if trace.attempts > 1 else ""
            return Text(f"delivered {at(trace.at, now)}{tries}", style="green")
    said = f": {_said(trace)}" if _said(trace) else ""
    text = Text(
        f"{trace.state}, {trace.reason} {at(trace.at, now)}{said}",
        style="red" if trace.state == "open" else "",
    )
    if trace.state == "open":
        text.append("\n→ ", style="dim").append(
            f"trackrelay dead-letters show {trace.id}", style="bold not red"
        )
    return text


def _in_stream(trace: Trace) -> Text:
    where = f"shard {trace.shard}, {trace.lane} lane"
    if trace.deliveries:
        times = "" if trace.deliveries == 1 else f", for the {trace.deliveries}th time"
        return Text(f"{where}: in a worker's hands{times}")
    before = f"{count(trace.ahead, 'job')} before it" if trace.ahead else "next in line"
    return Text(f"{where}: not read yet, {before}")


def _in_backlog(trace: Trace, now: float) -> Text:
    text = f"shard {trace.shard}, {trace.lane} lane, since {duration(now - (trace.at or now))}: {trace.reason}"
    if trace.ahead:
        text += f", behind {count(trace.ahead, 'earlier job')} of its key"
    elif trace.due_at is not None:
        left = trace.due_at - now
        text += (
            f", tried again in {duration(left)}"
            if left > 0
            else ", tried as soon as delivery is possible"
        )
    if trace.attempts:
        text += f"; {count(trace.attempts, 'attempt')} counted"
    return Text(f"{text}; {_said(trace)}" if _said(trace) else text, style="yellow")


def _said(trace: Trace) -> str:
    error = f"{trace.field}: {trace.error}" if trace.field and trace.error else trace.error or ""
    return f"{error} ({trace.status})" if trace.status and str(trace.status) not in error else error


def _history(job: FoundJob) -> list[dict[str, Any]]:
    entries = [entry for trace in job.traces for entry in trace.history]
    return sorted(entries, key=lambda entry: float(entry.get("at") or 0))


def _happened(entry: dict[str, Any], now: float) -> Text:
    happened = f"{at(entry.get('at'), now)}: {entry.get('what', '')}"
    rest = [str(entry[name]) for name in ("by", "status", "field", "error") if entry.get(name)]
    return Text(": ".join([happened, *rest]), style="dim")


def at(moment: float | None, now: float) -> str:
    """``2026-01-31 12:00:05 UTC, 3 min ago``."""
    if moment is None:
        return "at an unknown time"
    written = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{written}, {ago(now - moment)}"


def _list(jobs: Sequence[FoundJob], now: float) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("enqueued", justify="right", no_wrap=True)
    table.add_column("job", no_wrap=True)
    table.add_column("operation", no_wrap=True)
    table.add_column("where", no_wrap=True)
    table.add_column("what became of it")
    for job in jobs:
        where = Text(job.where, style=_COLOURS[job.where])
        table.add_row(
            ago(now - job.first.enqueued_at),
            job.id,
            job.first.operation,
            where,
            _in_short(job, now),
        )
    return table


def _in_short(job: FoundJob, now: float) -> Text:
    trace = next((each for each in job.traces if each.place == "ledger"), job.first)
    if trace.place == "ledger":
        return Text(f"delivered {ago(now - (trace.at or now))}", style="dim")
    return Text(
        f"{trace.reason}: {_said(trace)}"
        if trace.place == "dead_letters"
        else _told(trace, now).plain
    )
