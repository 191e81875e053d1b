"""The first page: whether all is well, in words, and the numbers behind them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from trackrelay.worker.cli.common.humanize import count, duration, listed, sentence
from trackrelay.worker.cli.common.shard_control import (
    NoSuchShardError,
    change_shards,
    request_probe,
    wake_shards,
)
from trackrelay.worker.cli.status.finding_status import findings_by_severity
from trackrelay.worker.cli.status.flow_charts import NAMES, RANGES, Chart, flow_charts
from trackrelay.worker.cli.status.snapshot import Snapshot
from trackrelay.worker.cli.status.status_hints import Hint, Severity, hints
from trackrelay.worker.cli.status.status_rows import breakers, shard_row, waits
from trackrelay.worker.cli.status.status_verdict import last_minute, verdict
from trackrelay.worker.cli.status.verification_status import remark as verification_remark
from trackrelay.worker.console.page import Page, get, live, post
from trackrelay.worker.console.page_request import BadRequestError, NotFoundError, PageRequest
from trackrelay.worker.reasons import Act, DeathReason, DeferReason
from trackrelay.worker.storage import counters, incident_log

_AWAY = "Redis does not answer"
#: Rows of a table of the page.
MAX_ROWS = 8
_TONES: dict[str, str] = {"delivering": "good", "idle": "good", "paused": "warn"}
_SEVERITY_TONES: dict[Severity | None, str] = {"wrong": "bad", "warning": "warn"}
_SEVERITY_WORDS: dict[Severity, str] = {"wrong": "Wrong", "warning": "Warning", "note": "Note"}
#: The page of the console that a command of `status` corresponds to, by the command's beginning.
_PAGES = {
    "trackrelay dead-letters": ("Dead letters", "/dead-letters"),
    "trackrelay verify": ("Verification", "/verification"),
    "trackrelay quality": ("Quality", "/quality"),
}


@dataclass(frozen=True, slots=True)
class Tile:
    """One number; None: it is not known."""

    label: str
    value: int | None
    remark: str
    tone: str = ""
    path: str = ""
    params: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Advice:
    """A hint of `status`, and what can be done about it here."""

    tone: str
    word: str
    text: str
    command: str
    #: Title and path of the page that has more.
    page: tuple[str, str] | None = None
    #: Path, label and fields of the form that does what the command does.
    act: tuple[str, str, dict[str, str]] | None = None


def show(page: PageRequest) -> Response:
    """Show the page."""
    span, charts = _charts(page)
    return page.render("overview.html", charts=charts, span=span, ranges=RANGES, **_values(page))


def renew(page: PageRequest) -> str:
    """Return the part of the page that renews itself."""
    values = _values(page)
    return page.text("overview_top.html", **values) + page.text("overview_tables.html", **values)


def _values(page: PageRequest) -> dict[str, Any]:
    snapshot = page.parts.facts.current()
    current = verdict(snapshot)
    return {
        "snapshot": snapshot,
        "verdict": current,
        "tone": _SEVERITY_TONES.get(current.severity, _TONES.get(current.state, "bad")),
        "advice": [_advice(hint, page.page_paths) for hint in hints(snapshot)],
        "tiles": tiles(snapshot, page.page_paths),
        "breakers": breakers(snapshot),
        "shards": [shard_row(shard, snapshot) for shard in snapshot.redis.shards]
        if snapshot.redis
        else [],
        "waits": waits(snapshot),
        "reasons": {str(each): each.explanation for each in (*DeferReason, *DeathReason)},
        "verification": verification_remark(snapshot.postgres.verification)
        if snapshot.postgres and snapshot.postgres.verification.is_used
        else "",
        "max_rows": MAX_ROWS,
    }


def _advice(hint: Hint, paths: Sequence[str]) -> Advice:
    page = next(
        (target for start, target in _PAGES.items() if hint.command.startswith(start)), None
    )
    return Advice(
        _SEVERITY_TONES.get(hint.severity, "dim"),
        _SEVERITY_WORDS[hint.severity],
        hint.text,
        hint.command,
        page if page and page[1] in paths else None,
        _act(hint.command),
    )


def _act(command: str) -> tuple[str, str, dict[str, str]] | None:
    if command.startswith("trackrelay resume"):
        shards = command.removeprefix("trackrelay resume").replace("--shard", "").split()
        return "/delivery/resume", "Resume", {"shards": " ".join(shards)}
    if command.startswith("trackrelay incidents acknowledge"):
        return "/incidents/acknowledge", "Acknowledge", {"number": command.rpartition(" ")[2]}
    return None


def tiles(snapshot: Snapshot, paths: Sequence[str] = ()) -> list[Tile]:
    """Return the numbers at the top. What a store does not tell is not known, and never 0."""
    redis, postgres = snapshot.redis, snapshot.postgres
    recent = last_minute(snapshot) if redis else None
    hour = f"in the last minute, {sum(redis.delivered):,} in an hour" if redis else _AWAY
    age = snapshot.age(snapshot.oldest)
    complete = redis is not None and postgres is not None
    oldest = f"the oldest for {duration(age)}" if age is not None else "nothing waits"
    open_letters = postgres.dead("open") if postgres else None
    replaying = postgres.dead("replaying") if postgres else 0
    refused = redis.failed_calls.count("refused") if redis else None
    logged = redis.failed_calls.count("unavailable") if redis else None
    lost = postgres.lost if postgres else None

    def known(path: str) -> str:
        return path if path in paths else ""

    found = [
        Tile("Delivered", recent, hour),
        Tile(
            "Waiting",
            snapshot.undelivered if complete else None,
            oldest if complete else "not every store answers",
            path=known("/backlog"),
        ),
        Tile(
            "Dead letters",
            open_letters,
            f"{replaying:,} are replayed" if replaying else "open",
            "warn" if open_letters else "",
            known("/dead-letters"),
        ),
        Tile("Refused calls", refused, "in the last 24 hours", "warn" if refused else ""),
        Tile("Calls only logged", logged, "in the last 24 hours", "bad" if logged else ""),
        Tile("Lost jobs", lost, "not acknowledged", "bad" if lost else ""),
        _findings(snapshot, known("/quality")),
    ]
    if postgres and postgres.plan.version is not None:
        violations = sum(postgres.plan.violations.values())
        tone = "warn" if violations else ""
        path = known("/plan")
        found.append(Tile("Plan violations", violations, "since yesterday", tone, path))
    return found


def _findings(snapshot: Snapshot, path: str) -> Tile:
    if snapshot.postgres is None:
        return Tile("Findings", None, "about the data", path=path)
    counts = findings_by_severity(snapshot)
    parts = [count(number, each.value) for each, number in counts.items() if number]
    tone = "warn" if parts else ""
    return Tile("Findings", sum(counts.values()), listed(parts) or "open", tone, path)


def chart(page: PageRequest) -> Response:
    """Return the numbers of one chart."""
    _, charts = _charts(page)
    name = page.param("show")
    found = next((each for each in charts if each.name == name), None)
    if found is None:
        raise NotFoundError("Postgres does not answer." if not charts else "No such chart.")
    return page.json(found.document())


def _charts(page: PageRequest) -> tuple[str, list[Chart]]:
    """Return the range that is asked for, and its charts; none if Postgres does not answer."""
    name = page.param("range") or "hour"
    if name not in RANGES:
        raise BadRequestError(f"range is one of {', '.join(RANGES)}.")
    span, now = RANGES[name], time.time()
    if page.parts.facts.current().postgres is None:
        return name, []
    try:
        with page.stores.engine.connect() as connection:
            points = counters.series(connection, span.step, span.times(now)[0], names=NAMES)
    except SQLAlchemyError:
        return name, []
    return name, flow_charts(points, span, now)


def pause(page: PageRequest) -> Response:
    """Pause delivery of some shards, or of all."""
    changed = _change(page, paused=True)
    page.parts.facts.renew()
    return page.redirect("/", f"Paused: {count(len(changed), 'shard')}. No job is lost.")


def resume(page: PageRequest) -> Response:
    """Resume delivery of some shards, or of all."""
    changed = _change(page, paused=False)
    wake_shards(page.stores.redis, changed)
    page.parts.facts.renew()
    return page.redirect("/", f"Resumed: {count(len(changed), 'shard')}.")


def _change(page: PageRequest, *, paused: bool) -> list[int]:
    words = page.field("shards").split()
    if not all(each.isascii() and each.isdigit() and len(each) < 6 for each in words):
        raise BadRequestError("Shards are whole numbers.")
    try:
        return change_shards(page.stores, [int(each) for each in words], paused, page.author)
    except NoSuchShardError as error:
        raise BadRequestError(sentence(str(error))) from None


def probe(page: PageRequest) -> Response:
    """Make the next attempt due now."""
    stopped = request_probe(page.stores, page.author)
    page.parts.facts.renew()
    text = (
        "The next attempt is due now; the result shows here."
        if stopped
        else "Nothing to try: delivery is not stopped."
    )
    return page.redirect("/", text)


def acknowledge(page: PageRequest) -> Response:
    """Acknowledge a loss of jobs."""
    number = page.number("number", 0, 1, 2**63 - 1)
    with page.stores.engine.begin() as connection:
        done = incident_log.acknowledge(connection, [number], page.who)
        if done:
            page.record(connection, Act.INCIDENT_ACKNOWLEDGED, str(number))
    page.parts.facts.renew()
    text = (
        f"Incident {number} is acknowledged."
        if done
        else f"Incident {number} was acknowledged before, or does not exist."
    )
    return page.redirect("/", text)


PAGE = Page(
    title="Overview",
    paths=(
        get("/", show),
        live("/live/overview", renew),
        get("/charts/flow", chart),
        post("/delivery/pause", pause),
        post("/delivery/resume", resume),
        post("/delivery/probe", probe),
        post("/incidents/acknowledge", acknowledge),
    ),
)
