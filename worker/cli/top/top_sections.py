"""The sections of the screen: each has a heading that is enough by itself, and details."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trackrelay.worker.cli.common.humanize import ago, count, duration, listed
from trackrelay.worker.cli.common.output import heading
from trackrelay.worker.cli.status.finding_status import findings_by_severity
from trackrelay.worker.cli.status.plan_line import plan_remark
from trackrelay.worker.cli.status.snapshot import RedisStatus, Snapshot
from trackrelay.worker.cli.status.status_render import bars
from trackrelay.worker.cli.status.status_rows import (
    BreakerRow,
    ShardRow,
    breakers,
    shard_row,
    waits,
)
from trackrelay.worker.cli.status.verification_status import remark as verification_remark
from trackrelay.worker.quality.all_rules import RULES
from trackrelay.worker.reasons import DeathReason, DeferReason
from trackrelay.worker.storage.queries.backlog_overview import Overview

from .top_facts import Flow, Flows

#: What the lists are sorted by, in the order in which the key takes them.
Order = Literal["name", "jobs", "age"]
ORDERS: tuple[Order, ...] = ("name", "jobs", "age")

_TONES = {"good": "green", "warn": "yellow", "bad": "red", "dim": "dim"}
#: There is room for few words beside other lists.
_HOLDERS = {
    "held by a worker": "held",
    "jobs wait, no worker holds it": "no worker",
    "not known whether paused": "not known",
}
_EXPLAINED = {str(each): each.explanation for each in (*DeferReason, *DeathReason)}
#: Characters of the columns of the flow, and of what is left of the bars.
_COLUMNS = (12, 9, 11, 10)
_BARS_FROM = sum(_COLUMNS) + 2 * len(_COLUMNS)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the screen."""

    #: The title with the most important numbers: one line.
    heading: Text
    #: A table whose rows are one line each; None: there are no details.
    details: RenderableType | None = None
    #: Whether the details say nothing that the heading does not say.
    is_dispensable: bool = False

    def __post_init__(self) -> None:
        self.heading.no_wrap, self.heading.overflow = True, "ellipsis"


@dataclass(frozen=True, slots=True)
class Sections:
    """Everything below the flow; the last two groups stand side by side on a wide screen."""

    #: Whether Customer.io takes jobs, and which store is away.
    above: list[Section]
    #: Where jobs are, and who works.
    work: list[Section]
    #: What waits, what died, and what is wrong with the data.
    rest: list[Section]


def sections(now: Snapshot, order: Order) -> Sections:
    """Return the sections, the most important of each group first."""
    redis, postgres = now.redis, now.postgres
    data = _data(now, postgres) if postgres else []
    return Sections(
        [
            *([_customerio(now, redis)] if redis else [Section(_away("Redis", now.redis_problem))]),
            *([] if postgres else [Section(_away("Postgres", now.postgres_problem))]),
        ],
        [_shards(now, redis, order), _workers(now, redis)] if redis else [],
        [_backlog(now, postgres, order), _dead_letters(now, postgres, order), *data]
        if postgres
        else [],
    )


def _away(store: str, problem: str) -> Text:
    return Text.assemble(
        heading(store), ("  not known: ", "red"), problem or f"{store} does not answer"
    )


def flow_table(now: Snapshot, flow: Flows | None, width: int, *, short: bool) -> RenderableType:
    """Return how often things happen, what waits and for how long.

    Args:
        now: the facts.
        flow: what the counters say; None: they are not known.
        width: of the screen.
        short: for a low screen: what waits takes one line.
    """
    if flow is None:
        return heading("Flow", "not known: Postgres does not answer")
    table = Table.grid(padding=(0, 2, 0, 0))
    for number, column in enumerate(_COLUMNS):
        table.add_column(width=column, justify="right" if number else "left", no_wrap=True)
    minutes = max(0, min(60, width - _BARS_FROM))
    table.add_column(no_wrap=True, overflow="crop", width=minutes)
    titles = ["", "a second", "last minute", "last hour", f"the last {minutes} minutes"]
    table.add_row(*(Text(title, style="dim") for title in titles))
    for row in flow.rows:
        table.add_row(*_flow_cells(row, minutes))
    if short:
        return Group(table, _waiting_line(now, flow))
    table.add_row("", Text("change/s", "dim"), Text("now", "dim"), Text("highest", "dim"), "")
    table.add_row(*_waiting_cells(now, flow, minutes))
    table.add_row(*_oldest_cells(now, flow, minutes))
    within = "–" if flow.arrival_s is None else duration(flow.arrival_s)
    table.add_row("arrival", "", within, "", Text("for 95 of 100 jobs", "dim"))
    return table


def _waiting_line(now: Snapshot, flow: Flows) -> Text:
    age, change = now.age(now.oldest), flow.waiting_per_second
    text = Text.assemble(f"{'waiting':<{_COLUMNS[0]}}  ", _waiting(now))
    if change is not None and abs(change) >= 0.05:
        text.append_text(Text.assemble(" (", _rate(change, signed=True), "/s)"))
    if age is not None:
        text.append(f", the oldest for {duration(age)}")
    if flow.arrival_s is not None:
        text.append(f"; 95 of 100 arrive within {duration(flow.arrival_s)}", "dim")
    return text


def _waiting(now: Snapshot) -> Text:
    if now.redis is None:
        return Text("not known", "red")
    return Text(f"{now.undelivered:,}", "bold" if now.undelivered else "dim")


def _flow_cells(row: Flow, minutes: int) -> list[RenderableType]:
    style = {"dead letters": "red", "retried": "yellow"}.get(row.label, "")
    bar_style = style or ("green" if row.label == "delivered" else "dim")
    return [
        row.label,
        "–" if row.per_second is None else _rate(row.per_second),
        Text(f"{row.last_minute:,}", style if row.last_minute else "dim"),
        Text(f"{row.last_hour:,}", style if row.last_hour else "dim"),
        Text(_last(row.by_minute, minutes), bar_style),
    ]


def _waiting_cells(now: Snapshot, flow: Flows, minutes: int) -> list[RenderableType]:
    change = flow.waiting_per_second
    known = [each for each in flow.waiting if each is not None]
    return [
        "waiting",
        "–" if change is None else _rate(change, signed=True),
        _waiting(now),
        f"{max([*known, now.undelivered]):,}" if known else "–",
        Text(_last(flow.waiting, minutes), "yellow"),
    ]


def _oldest_cells(now: Snapshot, flow: Flows, minutes: int) -> list[RenderableType]:
    age = now.age(now.oldest)
    known = [each for each in flow.oldest_s if each is not None]
    current = ("none" if age is None else duration(age)) if now.redis else "not known"
    return [
        "the oldest",
        "",
        Text(current, "dim" if age is None else "bold"),
        duration(max([*known, age or 0.0])) if known else "–",
        Text(_last(flow.oldest_s, minutes), "yellow"),
    ]


def _rate(number: float, *, signed: bool = False) -> Text:
    shown = f"{number:+,.1f}" if signed else f"{number:,.1f}"
    nothing = abs(number) < 0.05
    return Text("0" if nothing else shown, "dim" if nothing else "")


def _last(numbers: Sequence[float | None], minutes: int) -> str:
    # `bars` takes the current one first.
    return bars([each or 0 for each in reversed(numbers[-minutes:])]) if minutes else ""


def _customerio(now: Snapshot, redis: RedisStatus) -> Section:
    rows = breakers(now)
    stopped = [row for row in rows if row.state not in ("closed", "stopped with everything")]
    full = now.settings.requests_per_second
    slowed = redis.rate < full - 0.05
    rate = f"{redis.rate:.0f} of {full:g} requests/s" if slowed else f"{full:g} requests/s"
    state = (
        Text("breakers closed", "dim")
        if not stopped
        else Text(f"{count(len(stopped), 'breaker')} not closed", "bold red")
    )
    last = redis.shared_breaker.last_success
    success = f"last success {ago(now.now - last)}" if last else "no success yet"
    title = Text.assemble(
        heading("Customer.io", " "),
        state,
        ("; at most ", "dim"),
        (rate, "yellow" if slowed else "dim"),
        (f"; {success}", "dim"),
    )
    table = _table("breaker", "delivers", "why", left=("breaker", "delivers", "why"))
    for row in stopped or rows:
        table.add_row(_toned(row.state, row.tone), row.delivers, _why(row, now))
    return Section(title, table, is_dispensable=not stopped)


def _why(row: BreakerRow, now: Snapshot) -> Text:
    if row.remark:
        return Text(row.remark)
    success = f"last success {ago(now.now - row.last_success)}" if row.last_success else ""
    return Text(success, "dim")


def _shards(now: Snapshot, redis: RedisStatus, order: Order) -> Section:
    held = sum(shard.held for shard in redis.shards)
    remark = (
        f"{count(len(redis.shards), 'shard')}, {held} held; {count(redis.queued, 'job')} in Redis"
        if redis.shards
        else _no_queue(now)
    )
    if not redis.shards:
        return Section(heading("Queue", remark))
    waiting: dict[int, int] = {}
    for each in now.postgres.backlog if now.postgres else []:
        waiting[each.shard] = waiting.get(each.shard, 0) + each.jobs
    rows = [shard_row(shard, now) for shard in redis.shards]
    table = _table("shard", "live", "bulk", "in hand", "backlog", "oldest", "", left=("",))
    for row in _sorted_shards(rows, waiting, order):
        shard = row.shard
        backlog = _number(waiting.get(shard.number, 0)) if now.postgres else Text("?", "dim")
        table.add_row(
            str(shard.number),
            _number(shard.lanes["live"].length),
            _number(shard.lanes["bulk"].length),
            _number(shard.pending),
            backlog,
            "–" if row.oldest_s is None else duration(row.oldest_s),
            _toned(_HOLDERS.get(row.holder, row.holder), row.tone),
        )
    return Section(heading("Queue", remark), table)


def _no_queue(now: Snapshot) -> str:
    return f"not known: {now.redis_problem or 'the queue is not set up'}"


def _sorted_shards(
    rows: Iterable[ShardRow], waiting: dict[int, int], order: Order
) -> list[ShardRow]:
    def jobs(row: ShardRow) -> float:
        return -row.shard.length - waiting.get(row.shard.number, 0)

    def age(row: ShardRow) -> float:
        return -(row.oldest_s or 0.0)

    keys = {"name": lambda row: row.shard.number, "jobs": jobs, "age": age}
    return sorted(rows, key=keys[order])


def _workers(now: Snapshot, redis: RedisStatus) -> Section:
    beat = now.age(redis.beat)
    seen = "no beat for a day" if beat is None else f"beat seen {ago(beat)}"
    gone = len(redis.workers) - len(redis.alive)
    lost = f", {gone} lost" if gone else ""
    slots = sum(worker.concurrency for worker in redis.alive)
    if not redis.workers:
        return Section(heading("Workers", f"none; {seen}"))
    remark = f"{len(redis.alive)} running{lost}, {count(slots, 'slot')}; {seen}"
    texts = ("name", "pool", "version", "up")
    table = _table("name", "pool", "slots", "version", "up", left=texts)
    for worker in redis.workers:
        if worker.alive:
            up = Text(duration(now.now - worker.started))
            table.add_row(worker.hostname, worker.pool, str(worker.concurrency), worker.version, up)
        else:
            up = Text(f"heartbeat lost {ago(now.now - worker.seen)}", "yellow")
            table.add_row(Text(worker.hostname, "dim"), "", "", "", up)
    return Section(heading("Workers", remark), table)


def _backlog(now: Snapshot, postgres: Overview, order: Order) -> Section:
    rows = waits(now)
    if not rows:
        return Section(heading("Backlog", "empty"))
    oldest = duration(now.now - min(row.oldest for row in rows))
    remark = f"{count(postgres.waiting, 'job')} in Postgres, the oldest for {oldest}"
    table = _table("jobs", "due now", "oldest", "why", left=("why",))
    if order != "jobs":
        rows.sort(key=lambda row: row.reason if order == "name" else row.oldest)
    for row in rows:
        table.add_row(
            _number(row.jobs),
            _number(row.due),
            duration(now.now - row.oldest),
            _explained(row.reason),
        )
    return Section(heading("Backlog", remark), table)


def _dead_letters(now: Snapshot, postgres: Overview, order: Order) -> Section:
    letters = list(postgres.dead_letters)
    if not letters:
        return Section(heading("Dead letters", "none"))
    replaying = postgres.dead("replaying")
    remark = f"{postgres.dead('open'):,} open"
    remark += f", {replaying:,} replaying" if replaying else ""
    table = _table("jobs", "newest", "why", left=("newest", "why"))
    if order == "name":
        letters.sort(key=lambda each: (each.reason, each.state))
    elif order == "age":
        letters.sort(key=lambda each: -each.newest)
    for each in letters:
        why = Text(each.reason + (" (replaying)" if each.state == "replaying" else ""))
        why.append(f"  {each.error or _EXPLAINED.get(each.reason, '')}", "dim")
        table.add_row(_number(each.jobs), ago(now.now - each.newest), why)
    return Section(heading("Dead letters", remark), table)


def _data(now: Snapshot, postgres: Overview) -> list[Section]:
    """Return what is known of the data: findings, verification, the plan."""
    found: list[Section] = []
    severities = findings_by_severity(now)
    parts = [count(number, each.value) for each, number in severities.items() if number]
    if parts:
        table = _table("open", "rule", "what is wrong", left=("rule", "what is wrong"))
        rank = list(severities)
        known = [
            (rank.index(RULES[rule].severity), rule, number)
            for rule, number in postgres.findings.items()
            if rule in RULES and RULES[rule].severity in rank
        ]
        for _, rule, number in sorted(known):
            table.add_row(_number(number), rule, RULES[rule].title)
        found.append(Section(heading("Findings", f"{listed(parts)} open"), table))
    if postgres.verification.is_used:
        found.append(Section(heading("Verification", verification_remark(postgres.verification))))
    if postgres.plan.version is not None:
        found.append(Section(heading("Plan", plan_remark(postgres.plan))))
    if not parts:
        found.append(Section(heading("Findings", "none")))
    return found


def _table(*columns: str, left: Iterable[str] = ()) -> Table:
    # Unlike in a report, each row is one line: rows are counted to fit.
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=True)
    for number, column in enumerate(columns, 1):
        table.add_column(
            column,
            justify="left" if column in left else "right",
            min_width=len(column),
            # The last one has words, and what the others leave.
            ratio=1 if number == len(columns) else None,
            no_wrap=True,
            overflow="ellipsis",
        )
    return table


def _toned(text: str, tone: str) -> Text:
    return Text(text, _TONES.get(tone, ""))


def _number(number: int) -> Text:
    return Text(f"{number:,}", "" if number else "dim")


def _explained(reason: str) -> Text:
    return Text.assemble(reason.replace("_", " "), (f"  {_EXPLAINED.get(reason, '')}", "dim"))
