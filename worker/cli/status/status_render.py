"""``status`` for a reader: the verdict, what to do, and the numbers behind them.

When all is well it fits into a window of 24 lines: sections without content take one line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from trackrelay.worker.cli.common.humanize import ago, clock, count, duration, size
from trackrelay.worker.cli.common.output import (
    fact_table,
    heading,
    list_table,
    marked_table,
    runnable,
)
from trackrelay.worker.endpoint_families import DELIVERS
from trackrelay.worker.queue.failed_calls import KINDS, Kind
from trackrelay.worker.reasons import DeferReason
from trackrelay.worker.storage.queries.backlog_overview import Overview
from trackrelay.worker.telemetry.visible_text import visible_values

from .plan_line import plan_remark
from .snapshot import BreakerStatus, RedisStatus, ShardStatus, Snapshot
from .status_hints import Hint, Severity, next_attempt
from .status_verdict import last_minute, verdict
from .verification_status import remark as verification_remark

#: Kinds of failed calls, by source, operation and field, that are shown of each.
MAX_CALLS = 5
_CALLS: dict[Kind, str] = {"refused": "refused", "unavailable": "only logged"}
#: Minutes whose deliveries are drawn, the current one last.
MAX_MINUTES = 60
_COLOURS = {
    "delivering": "green",
    "idle": "green",
    "paused": "yellow",
    "stopped": "red",
    "unknown": "red",
}
_SEVERE: dict[str | None, str] = {"wrong": "red", "warning": "yellow"}
_MARKS: dict[Severity, tuple[str, str]] = {
    "wrong": ("✗", "bold red"),
    "warning": ("!", "yellow"),
    "note": ("·", "dim"),
}
#: Why jobs wait in the backlog.
_REASONS = {str(reason): reason.explanation for reason in DeferReason}
_BARS = "▁▂▃▄▅▆▇█"


def render_status(snapshot: Snapshot, what_to_do: Sequence[Hint]) -> RenderableType:
    """Return everything, the most important first."""
    snapshot, what_to_do = visible_values(snapshot), visible_values(list(what_to_do))
    redis, postgres = snapshot.redis, snapshot.postgres
    at = Text(f"trackrelay, {clock(snapshot.now)}", style="dim")
    parts: list[RenderableType] = [at, render_verdict(snapshot)]
    if what_to_do:
        parts += [Text(), heading("What to do"), hint_table(what_to_do)]
    if redis:
        parts += [Text(), heading("Delivery"), Padding(_delivery(snapshot, redis), (0, 0, 0, 2))]
    parts.append(Text())
    if redis and redis.config:
        parts += _queue(snapshot, redis)
    if redis and any(redis.failed_calls.of(kind) for kind in KINDS):
        parts += _section("Failed calls", "of the last 24 hours", _failed_calls(redis))
    if snapshot.outbox:
        parts.append(heading("Outbox", _outbox(snapshot)))
    if postgres:
        parts += _backlog(snapshot, postgres)
        parts += _dead_letters(snapshot, postgres)
        parts += _forgotten(postgres)
        if postgres.verification.is_used:
            parts.append(heading("Verification", verification_remark(postgres.verification)))
        if postgres.plan.version is not None:
            parts.append(heading("Plan", plan_remark(postgres.plan)))
    if redis:
        parts += [Text(), *_workers(snapshot, redis)]
    return Group(*parts)


def render_verdict(snapshot: Snapshot) -> Text:
    """Return the verdict in its colour."""
    current = visible_values(verdict(snapshot))
    colour = _SEVERE.get(current.severity, _COLOURS[current.state])
    return Text.assemble(("● ", colour), (current.sentence, f"bold {colour}"))


def _section(title: str, remark: str, content: RenderableType) -> list[RenderableType]:
    return [heading(title, remark), Padding(content, (0, 2))]


def hint_table(what_to_do: Sequence[Hint]) -> RenderableType:
    """Return what to do, each with its mark and its command."""
    table = marked_table(0)
    for hint in what_to_do:
        mark, style = _MARKS[hint.severity]
        text = Text(hint.text)
        if hint.command:
            text.append("\n→ ", style="dim").append(runnable(hint.command), style="bold")
        table.add_row(Text(mark, style=style), text)
    return table


def _delivery(snapshot: Snapshot, redis: RedisStatus) -> RenderableType:
    table = fact_table()
    for index, destination in enumerate(_destinations(redis)):
        table.add_row("" if index else "to", destination)
    table.add_row("breaker", _breakers(snapshot, redis))
    table.add_row("rate", _rate(snapshot, redis))
    minutes, hour = sum(redis.delivered[:5]), sum(redis.delivered)
    table.add_row(
        "delivered",
        f"{last_minute(snapshot):,} in the last minute, {minutes:,} in 5 minutes, "
        f"{hour:,} in an hour",
    )
    if any(redis.delivered):
        table.add_row("by minute", Text(bars(redis.delivered[:MAX_MINUTES]), style="green"))
    return table


def _destinations(redis: RedisStatus) -> Iterator[Text]:
    # As workers report them: this process may have other settings, or none.
    for each in redis.destinations:
        details = [f"region {each.region}" if each.region else ""]
        details += [f"workspace {each.workspace}" if each.workspace else ""]
        more = ", ".join(filter(None, details))
        yield Text(each.endpoint + (f" ({more})" if more else ""))
    if not redis.destinations:
        why = "these workers do not report it" if redis.alive else "no worker runs"
        yield Text(f"not known: {why}", style="dim")


def _breakers(snapshot: Snapshot, redis: RedisStatus) -> Text:
    last_success = redis.shared_breaker.last_success
    last = f"last success {ago(snapshot.now - last_success)}" if last_success else "no success yet"
    if not redis.stopped:
        failures = sum(breaker.failures for breaker in redis.breakers)
        failed = f"; {count(failures, 'request')} failed since" if failures else ""
        return Text(f"closed, requests pass; {last}{failed}")
    lines = [_open_breaker(breaker, snapshot.now) for breaker in redis.stopped]
    if redis.shared_breaker.state == "closed" and len(lines) < len(redis.breakers):
        lines.append(Text("closed for everything else"))
    return Text("\n").join([*lines[:-1], lines[-1] + f"; {last}"])


def _open_breaker(breaker: BreakerStatus, now: float) -> Text:
    whose = f" for {DELIVERS[breaker.family]}" if breaker.family else ""
    return Text.assemble(
        (breaker.state, "bold red" if breaker.state == "halted" else "bold yellow"),
        f"{whose} ({breaker.reason}), {next_attempt(breaker, now)}",
    )


def _rate(snapshot: Snapshot, redis: RedisStatus) -> Text:
    full = snapshot.settings.requests_per_second
    if redis.rate >= full - 0.05:
        return Text(f"{full:g} requests/s")
    return Text(
        f"{redis.rate:.0f} of {full:g} requests/s: reduced after a 429, recovering", style="yellow"
    )


def bars(numbers: Sequence[float]) -> str:
    """Draw numbers, the latest of which is first, as bars with the latest last."""
    highest = max(numbers, default=0)
    return "".join(
        " " if number == 0 else _BARS[min(len(_BARS) - 1, int(number * len(_BARS) / (highest + 1)))]
        for number in reversed(numbers)
    )


def _queue(snapshot: Snapshot, redis: RedisStatus) -> list[RenderableType]:
    memory = size(redis.memory.used)
    if redis.memory.limit:
        memory += f" of {size(redis.memory.limit)}"
    remark = f"in Redis at {snapshot.redis_place}, {memory} used"
    paused = snapshot.postgres.paused if snapshot.postgres else {}
    busy = [each for each in redis.shards if each.length or each.held or each.number in paused]
    if not busy:
        return [heading("Queue", f"empty, {remark}")]
    table = list_table("shard", "live", "bulk", "in hand", "oldest", "", left=("",))
    for shard in busy:
        oldest = snapshot.age(shard.oldest)
        table.add_row(
            str(shard.number),
            _number(shard.lanes["live"].length),
            _number(shard.lanes["bulk"].length),
            _number(shard.pending),
            "–" if oldest is None else duration(oldest),
            _holder(shard, paused, snapshot),
        )
    hidden = len(redis.shards) - len(busy)
    others = Text(f"{count(hidden, 'other shard')} empty", style="dim")
    return _section("Queue", remark, Group(table, others) if hidden else table)


def _holder(shard: ShardStatus, paused: dict[int, float], snapshot: Snapshot) -> Text:
    if shard.number in paused:
        since = duration(snapshot.now - paused[shard.number])
        return Text(f"paused for {since}", style="yellow")
    if shard.held:
        return Text("held by a worker", style="green")
    return Text("jobs wait, and no worker holds it", style="yellow")


def _failed_calls(redis: RedisStatus) -> RenderableType:
    texts = ("", "operation", "application", "field or reason")
    table = list_table("calls", *texts, left=texts)
    hidden = 0
    for kind in KINDS:
        calls = redis.failed_calls.of(kind)
        style = "red" if kind == "unavailable" else "yellow"
        for each in calls[:MAX_CALLS]:
            result = Text(_CALLS[kind], style)
            table.add_row(f"{each.calls:,}", result, each.operation, each.source, each.field)
        hidden += sum(each.calls for each in calls[MAX_CALLS:])
    others = Text(f"{count(hidden, 'other call')}; --json lists all", style="dim")
    return Group(table, others) if hidden else table


def _number(number: int) -> Text:
    return Text(f"{number:,}", style="" if number else "dim")


def _outbox(snapshot: Snapshot) -> str:
    outbox = snapshot.outbox
    age = snapshot.age(outbox.oldest) if outbox else None
    if outbox is None or age is None:
        return "empty"
    return f"{count(outbox.jobs, 'job')} to relay into the queue, the first for {duration(age)}"


def _backlog(snapshot: Snapshot, postgres: Overview) -> list[RenderableType]:
    remark = f"in Postgres at {snapshot.postgres_place}"
    if not postgres.backlog:
        return [heading("Backlog", f"empty, {remark}")]
    table = list_table("jobs", "due now", "oldest", "why", left=("why",))
    for reason in sorted({each.reason for each in postgres.backlog}):
        waiting = [each for each in postgres.backlog if each.reason == reason]
        table.add_row(
            _number(sum(each.jobs for each in waiting)),
            _number(sum(each.due for each in waiting)),
            duration(snapshot.now - min(each.oldest for each in waiting)),
            Text.assemble(reason, (f"  {_REASONS.get(reason, '')}", "dim")),
        )
    return _section("Backlog", remark, table)


def _dead_letters(snapshot: Snapshot, postgres: Overview) -> list[RenderableType]:
    if not postgres.dead_letters:
        return [heading("Dead letters", "none")]
    texts = ("reason", "error of the newest")
    table = list_table("jobs", "newest", *texts, left=texts)
    for each in postgres.dead_letters:
        replaying = " (replaying)" if each.state == "replaying" else ""
        newest = ago(snapshot.now - each.newest)
        error = Text(each.error or "", style="dim")
        table.add_row(_number(each.jobs), newest, f"{each.reason}{replaying}", error)
    return _section("Dead letters", "", table)


def _forgotten(postgres: Overview) -> list[RenderableType]:
    forgotten = postgres.forgotten
    if not forgotten.keys:
        return []
    dropped = f"{count(forgotten.jobs, 'job')} of theirs dropped since"
    return [heading("Forgotten", f"{count(forgotten.keys, 'key')} of people blocked, {dropped}")]


def _workers(snapshot: Snapshot, redis: RedisStatus) -> list[RenderableType]:
    age = snapshot.age(redis.beat)
    beat = "no beat for a day" if age is None else f"beat seen {ago(age)}"
    if not redis.workers:
        return [heading("Workers", f"none; {beat}")]
    texts = ("name", "pool", "version", "up")
    table = list_table("name", "pool", "slots", "version", "up", left=texts)
    for worker in redis.workers:
        if worker.alive:
            up = duration(snapshot.now - worker.started)
            slots = str(worker.concurrency)
            table.add_row(worker.hostname, worker.pool, slots, worker.version, up)
        else:
            lost = Text(f"heartbeat lost {ago(snapshot.now - worker.seen)}", style="yellow")
            table.add_row(Text(worker.hostname, style="dim"), "", "", "", lost)
    return _section("Workers", beat, table)
