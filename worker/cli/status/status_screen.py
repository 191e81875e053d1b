"""``status`` for a person: the verdict, what to do, and then the numbers behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from trackrelay.worker.cli.common.humanize import ago, count, duration, size
from trackrelay.worker.endpoint_families import DELIVERS
from trackrelay.worker.storage.queries.backlog_overview import Overview
from trackrelay.worker.telemetry.visible_text import visible_values

from .failed_calls import KINDS, Kind
from .redis_snapshot import BreakerLook, RedisSide, ShardLook
from .snapshot import Snapshot
from .status_hints import Hint, Severity, next_try
from .status_verdict import last_minute, verdict

if TYPE_CHECKING:
    from trackrelay.worker.cli.common.outbox_reader import Waiting

#: More shards than this are shown only if there is something to say of them.
SHARDS_SHOWN = 16
#: Kinds of failed calls, by source, operation and field, that are shown of each.
CALLS_SHOWN = 5
_CALLS: dict[Kind, str] = {"refused": "refused", "unavailable": "only logged"}
#: Minutes whose deliveries are drawn, the current one last.
MINUTES_SHOWN = 60
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
_WHY = {
    "key_waits": "behind an earlier job of the same person or object",
    "two_keys": "concerns two people: until it is first for both",
    "breaker": "delivery had stopped when it came",
    "halted": "delivery was halted when it came",
    "failed": "its request failed; it is tried again",
    "rate_limited": "Customer.io said that requests come too fast; it is tried again",
    "isolated": "shared what may have killed its worker: now by itself",
    "late": "its shard changed hands",
    "round_over": "its turn was over before it could be sent",
    "replayed": "was a dead letter",
}
_BARS = "▁▂▃▄▅▆▇█"


def screen(now: Snapshot, what_to_do: Sequence[Hint]) -> RenderableType:
    """Everything, top down by how much it matters."""
    now, what_to_do = visible_values(now), visible_values(list(what_to_do))
    parts: list[RenderableType] = [_headline(now)]
    if what_to_do:
        parts += [Text(), _heading("What to do"), _hints(what_to_do)]
    if now.redis:
        parts += [Text(), _heading("Delivery"), _delivery(now, now.redis)]
    if now.redis and now.redis.config:
        parts += [Text(), _heading("Queue", _queue_remark(now, now.redis)), _queue(now, now.redis)]
    if now.redis and any(now.redis.failed_calls.of(kind) for kind in KINDS):
        parts += [
            Text(),
            _heading("Failed calls", "of applications, in the last 24 hours"),
            _failed_calls(now.redis),
        ]
    if now.outbox:
        parts += [
            Text(),
            _heading("Outbox", "what waits to be relayed into the queue"),
            _outbox(now, now.outbox),
        ]
    if now.postgres:
        parts += [
            Text(),
            _heading("Backlog", f"in Postgres at {now.postgres_place}"),
            _backlog(now, now.postgres),
        ]
        parts += [Text(), _heading("Dead letters"), _dead_letters(now, now.postgres)]
    if now.redis:
        parts += [Text(), _heading("Workers"), _workers(now, now.redis)]
    return Group(*parts)


def _headline(now: Snapshot) -> RenderableType:
    said = verdict(now)
    colour = _SEVERE.get(said.severity, _COLOURS[said.state])
    at = datetime.fromtimestamp(now.now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Group(
        Text(f"trackrelay, {at}", style="dim"),
        Text.assemble(("● ", colour), (said.sentence, f"bold {colour}")),
    )


def _heading(title: str, remark: str = "") -> Text:
    return Text.assemble((title, "bold cyan"), (f"  {remark}" if remark else "", "dim"))


def _hints(what_to_do: Iterable[Hint]) -> RenderableType:
    grid = Table.grid(padding=(0, 1), pad_edge=True)
    grid.add_column(width=2, justify="right")
    grid.add_column()
    for hint in what_to_do:
        mark, style = _MARKS[hint.severity]
        text = Text(hint.text)
        if hint.command:
            text.append("\n→ ", style="dim").append(hint.command, style="bold")
        grid.add_row(Text(mark, style=style), text)
    return grid


def _facts(rows: Iterable[tuple[str, RenderableType]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    for name, value in rows:
        grid.add_row(name, value)
    return Padding(grid, (0, 0, 0, 2))


def _delivery(now: Snapshot, side: RedisSide) -> RenderableType:
    return _facts(
        [
            *(("to" if not index else "", text) for index, text in enumerate(_destinations(side))),
            ("breaker", _breaker(now, side)),
            ("budget", _budget(now, side)),
            ("delivered", _delivered(now, side)),
            *(
                [("by minute", Text(_bars(side.delivered[:MINUTES_SHOWN]), style="green"))]
                if any(side.delivered)
                else []
            ),
        ]
    )


def _destinations(side: RedisSide) -> Iterator[Text]:
    # As the workers tell: this process may have other settings, or none.
    for each in side.destinations:
        details = [f"region {each.region}" if each.region else ""]
        details += [f"workspace {each.workspace}" if each.workspace else ""]
        more = ", ".join(filter(None, details))
        yield Text(each.endpoint + (f" ({more})" if more else ""))
    if not side.destinations:
        why = "these workers do not tell" if side.alive else "no worker runs"
        yield Text(f"not known: {why}", style="dim")


def _breaker(now: Snapshot, side: RedisSide) -> Text:
    last_success = side.shared_breaker.last_success
    last = f"last success {ago(now.now - last_success)}" if last_success else "no success yet"
    if not side.stopped:
        failures = sum(breaker.failures for breaker in side.breakers)
        failing = f"; {count(failures, 'request')} failed since" if failures else ""
        return Text(f"closed, requests pass; {last}{failing}")
    lines = [_stopped(breaker, now) for breaker in side.stopped]
    if side.shared_breaker.state == "closed" and len(lines) < len(side.breakers):
        lines.append(Text("closed for everything else"))
    return Text("\n").join([*lines[:-1], lines[-1] + f"; {last}"])


def _stopped(breaker: BreakerLook, now: Snapshot) -> Text:
    whose = f" for {DELIVERS[breaker.family]}" if breaker.family else ""
    return Text.assemble(
        (breaker.state, "bold red" if breaker.state == "halted" else "bold yellow"),
        f"{whose} ({breaker.reason}), {next_try(breaker, now.now)}",
    )


def _budget(now: Snapshot, side: RedisSide) -> Text:
    full = now.settings.requests_per_second
    if side.rate >= full - 0.05:
        return Text(f"{full:g} requests/s")
    return Text(
        f"{side.rate:.0f} of {full:g} requests/s: slowed down after a 429, and recovering",
        style="yellow",
    )


def _delivered(now: Snapshot, side: RedisSide) -> Text:
    minutes, hour = sum(side.delivered[:5]), sum(side.delivered)
    return Text(
        f"{last_minute(now):,} in the last minute, {minutes:,} in 5 minutes, {hour:,} in an hour"
    )


def _bars(numbers: Sequence[int]) -> str:
    most = max(numbers, default=0)
    return "".join(
        " " if number == 0 else _BARS[min(len(_BARS) - 1, number * len(_BARS) // (most + 1))]
        for number in reversed(numbers)
    )


def _queue_remark(now: Snapshot, side: RedisSide) -> str:
    memory = f"{size(side.memory.used)} used"
    if side.memory.limit:
        memory += f", {side.memory.share:.0%} of its maxmemory of {size(side.memory.limit)}"
    return f"in Redis at {now.redis_place}, {memory}"


def _table(*columns: str, left: Iterable[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2), header_style="dim")
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", overflow="fold")
    return table


def _queue(now: Snapshot, side: RedisSide) -> RenderableType:
    paused = now.postgres.paused if now.postgres else {}
    shown = [
        shard
        for shard in side.shards
        if len(side.shards) <= SHARDS_SHOWN or shard.length or shard.number in paused
    ]
    table = _table("shard", "live", "bulk", "in hand", "oldest", "", left=("",))
    for shard in shown:
        oldest = now.age(shard.oldest)
        table.add_row(
            str(shard.number),
            _number(shard.lanes["live"].length),
            _number(shard.lanes["bulk"].length),
            _number(shard.pending),
            "–" if oldest is None else duration(oldest),
            _holder(shard, paused, now),
        )
    hidden = len(side.shards) - len(shown)
    return Padding(
        Group(table, Text(f"{count(hidden, 'other shard')} empty", style="dim"))
        if hidden
        else table,
        (0, 2),
    )


def _holder(shard: ShardLook, paused: dict[int, float], now: Snapshot) -> Text:
    if shard.number in paused:
        return Text(f"paused for {duration(now.now - paused[shard.number])}", style="yellow")
    if shard.held:
        return Text("held by a worker", style="green")
    return Text("work, and no worker holds it", style="yellow") if shard.length else Text()


def _failed_calls(side: RedisSide) -> RenderableType:
    table = _table(
        "calls",
        "",
        "operation",
        "of",
        "field or reason",
        left=("", "operation", "of", "field or reason"),
    )
    hidden = 0
    for kind in KINDS:
        calls = side.failed_calls.of(kind)
        for each in calls[:CALLS_SHOWN]:
            style = "red" if kind == "unavailable" else "yellow"
            table.add_row(
                f"{each.calls:,}",
                Text(_CALLS[kind], style),
                each.operation,
                each.source,
                each.field,
            )
        hidden += sum(each.calls for each in calls[CALLS_SHOWN:])
    others = Text(f"{count(hidden, 'other call')}; --json lists all", style="dim")
    return Padding(Group(table, others) if hidden else table, (0, 2))


def _number(number: int) -> Text:
    return Text(f"{number:,}", style="" if number else "dim")


def _outbox(now: Snapshot, waiting: Waiting) -> RenderableType:
    age = now.age(waiting.oldest)
    if age is None:
        return Padding(Text("empty", style="dim"), (0, 2))
    return Padding(Text(f"{count(waiting.jobs, 'job')}, the first for {duration(age)}"), (0, 2))


def _backlog(now: Snapshot, side: Overview) -> RenderableType:
    if not side.backlog:
        return Padding(Text("empty", style="dim"), (0, 2))
    table = _table("jobs", "due now", "oldest", "why", left=("why",))
    for reason in sorted({each.reason for each in side.backlog}):
        waiting = [each for each in side.backlog if each.reason == reason]
        table.add_row(
            _number(sum(each.jobs for each in waiting)),
            _number(sum(each.due for each in waiting)),
            duration(now.now - min(each.oldest for each in waiting)),
            Text.assemble(reason, (f"  {_WHY[reason]}" if reason in _WHY else "", "dim")),
        )
    return Padding(table, (0, 2))


def _dead_letters(now: Snapshot, side: Overview) -> RenderableType:
    if not side.dead_letters:
        return Padding(Text("none", style="dim"), (0, 2))
    table = _table(
        "jobs", "newest", "reason", "the newest says", left=("reason", "the newest says")
    )
    for each in side.dead_letters:
        replaying = " (replaying)" if each.state == "replaying" else ""
        newest = ago(now.now - each.newest)
        table.add_row(
            _number(each.jobs),
            newest,
            f"{each.reason}{replaying}",
            Text(each.error or "", style="dim"),
        )
    return Padding(table, (0, 2))


def _workers(now: Snapshot, side: RedisSide) -> RenderableType:
    rows: list[RenderableType] = []
    if side.workers:
        table = _table(
            "name", "pool", "slots", "version", "up", left=("name", "pool", "version", "up")
        )
        for worker in side.workers:
            if worker.alive:
                up = duration(now.now - worker.started)
                table.add_row(
                    worker.hostname, worker.pool, str(worker.concurrency), worker.version, up
                )
            else:
                gone = Text(f"gone without a word {ago(now.now - worker.seen)}", style="yellow")
                table.add_row(Text(worker.hostname, style="dim"), "", "", "", gone)
        rows.append(table)
    else:
        rows.append(Text("none", style="dim"))
    rows += _beat(now, side)
    return Padding(Group(*rows), (0, 2))


def _beat(now: Snapshot, side: RedisSide) -> Iterator[RenderableType]:
    age = now.age(side.beat)
    yield Text("no beat seen for a day" if age is None else f"beat seen {ago(age)}", style="dim")
