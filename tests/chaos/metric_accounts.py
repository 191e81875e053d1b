"""Reconciles what Prometheus scraped with the journals, the stores and the sandbox. Pure.

Counters in the stores are written in the transaction that settles jobs, so they agree exactly.
What a worker counts while it sends is written by that transaction too, and is lost with it when the
worker, or its connection, ends before. Those counters have bounds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

from trackrelay.sandbox.client import Effect, RequestRecord
from trackrelay.worker.endpoint_families import Family

from . import marks
from .calls import Call
from .stores import Stores

PREFIX = "trackrelay_"
#: Of the requests that failed, this part may be missing, and this number besides. A cycle that ends
#: before it settles loses the requests of one cycle, and up to 16 of them run at once. What
#: succeeded needs no such part: its loss shows in jobs that arrive again.
LOST_PART, LOST_BESIDES = 0.2, 16
#: A run with fewer scrapes proves nothing.
MIN_SCRAPES = 10

_FAMILIES = (
    ("/api/v2/", Family.V2),
    ("/api/v1/segments/", Family.SEGMENTS),
    ("/api/v1/forms/", Family.FORMS),
    ("/api/v1/metrics", Family.METRICS),
    ("/unsubscribe/", Family.METRICS),
    ("/api/v1/events", Family.V1_EVENTS),
    ("/api/v1/customers/", Family.V1_EVENTS),
)


@dataclass(frozen=True, slots=True)
class Scraped:
    """The last values of one target, and how it went until then."""

    #: By name, without `PREFIX`, and labels.
    values: Mapping[tuple[str, frozenset[tuple[str, str]]], float]
    #: How often each counter was seen to fall.
    resets: Mapping[str, int] = field(default_factory=dict)
    scrapes: int = 0

    def sum(self, name: str, **labels: str) -> float | None:
        """Return the sum of the series that have these labels; None: there is none."""
        found = [
            value
            for (each, its_labels), value in self.values.items()
            if each == name and labels.items() <= set(its_labels)
        ]
        return sum(found) if found else None

    def labels(self, name: str, label: str) -> list[str]:
        """Return the values that a label has."""
        found = {dict(labels).get(label, "") for each, labels in self.values if each == name}
        return sorted(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What the metrics are compared with."""

    #: Jobs in the ledger, by the family of the endpoint at which the sandbox received them.
    delivered: Mapping[str, int]
    #: Dead letters by reason.
    dead: Mapping[str, int]
    #: Jobs that wait.
    queued: int
    backlog: int
    #: Jobs that were lost, known to be or not.
    lost: int
    #: Workers that a supervisor keeps running.
    workers: int
    #: Stream entries: one for each accepted call at least, and at most one for each try and shard.
    min_entries: int
    max_entries: int
    #: Jobs that were accepted again though they were known, and the most copies there may be.
    min_copies: int
    max_copies: int
    #: Counted attempts that failed, of jobs that were delivered later.
    failed_attempts: int
    #: The sandbox's requests by family and class of status, and those of 2xx without a fault.
    requests: Mapping[tuple[str, str], int]
    succeeded: int
    #: Jobs that arrived, each time.
    arrived: int


def books_of(
    calls: Iterable[Call],
    found: Stores,
    arrivals: Iterable[Effect],
    requests: Iterable[RequestRecord],
    *,
    workers: int,
    lost: int = 0,
    failed_attempts: int = 0,
) -> Books:
    """Return the books.

    Args:
        calls: of all journals.
        found: where the jobs are.
        arrivals: what the sandbox accepted, ignored operations included.
        requests: all that the sandbox received.
        workers: how many should run.
        lost: jobs that are lost.
        failed_attempts: as the ledger has them.
    """
    calls, requests = list(calls), [each for each in requests if _family(each["path"])]
    family_of_mark: dict[str, str] = {}
    arrived = 0
    for effect in arrivals:
        for mark in marks.of_effect(effect):
            arrived += 1
            family_of_mark.setdefault(mark, _family(effect["path"]) or "unknown")
    mark_of = {call.id: call.mark for call in calls}
    dead = Counter(letter.reason for letter in found.dead.values())
    accepted = [call for call in calls if call.told == "accepted"]
    # An event and the identify that travels with it are two jobs in one entry.
    entries = [call for call in calls if not call.mark.endswith(":companion")]
    by_class = Counter((_family(each["path"]), _class(each["status"])) for each in requests)
    return Books(
        delivered=Counter(
            family_of_mark.get(mark_of.get(id, ""), "unknown") for id in found.ledger
        ),
        dead=dead,
        queued=len(found.stream),
        backlog=len(found.backlog),
        lost=lost,
        workers=workers,
        min_entries=sum(call.told == "accepted" for call in entries) + dead["undecodable"],
        max_entries=sum(call.tries * len(call.keys) for call in entries) + dead["undecodable"],
        min_copies=len(accepted) - len({call.id for call in accepted}),
        max_copies=sum(call.tries * len(call.keys) for call in calls)
        - len({call.id for call in accepted}),
        failed_attempts=failed_attempts,
        requests=by_class,
        succeeded=sum(_class(each["status"]) == "2xx" and not each["fault"] for each in requests),
        arrived=arrived,
    )


def _family(path: str) -> str:
    return next((str(family) for start, family in _FAMILIES if path.startswith(start)), "")


def _class(status: int | None) -> str:
    if status is None:
        return "none"
    return "429" if status == 429 else f"{status // 100}xx"


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison."""

    metric: str
    #: None: Prometheus has no such series.
    value: float | None
    least: float
    most: float
    #: What says so.
    account: str

    @property
    def agrees(self) -> bool:
        """Whether the value is within the bounds; a series that counts nothing may be missing."""
        return self.least <= (self.value or 0) <= self.most

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show: none was counted, and none should be."""
        return not self.value and self.most == 0

    @property
    def expected(self) -> str:
        """The bounds as text."""
        if self.least == self.most:
            return f"{self.least:,.0f}"
        if self.most == inf:
            return f"≥ {self.least:,.0f}"
        return f"{self.least:,.0f} … {self.most:,.0f}"

    @property
    def found(self) -> str:
        """The value as text."""
        return "–" if self.value is None else f"{self.value:,.0f}"

    def problem(self, target: str) -> str:
        """Return what is wrong, in words."""
        return (
            f"{self.metric} of {target} is {self.found} in Prometheus, "
            f"{self.expected} by the {self.account}"
        )


def compare(scraped: Scraped, books: Books) -> list[Line]:
    """Return a line for each comparison, exact ones first."""
    return [*_exact(scraped, books), *_bounded(scraped, books)]


def _exact(scraped: Scraped, books: Books) -> Iterator[Line]:
    def line(name: str, expected: float, account: str, **labels: str) -> Line:
        value = scraped.sum(name, **labels)
        return Line(_series(name, **labels), value, expected, expected, account)

    for name in ("jobs_delivered_total", "delivery_latency_seconds_count"):
        # Also a family that nobody knows, on either side.
        families = {*scraped.labels(name, "family"), *books.delivered}
        for family in sorted(families):
            number = books.delivered.get(family, 0)
            yield line(name, number, "ledger and sandbox", family=family)
    for name in ("jobs_died_total", "dead_letters"):
        for reason in sorted({*scraped.labels(name, "reason"), *books.dead}):
            yield line(name, books.dead.get(reason, 0), "dead letters", reason=reason)
    yield line("jobs_dropped_total", 0, "journals", reason="blocked")
    yield line("lost_jobs", books.lost, "journals")
    for result in ("refused", "unavailable"):
        yield line("calls_failed_total", 0, "journals", result=result)
    yield line("queue_jobs", books.queued, "streams")
    yield line("backlog_jobs", books.backlog, "backlog")
    yield line("workers", books.workers, "supervisor", state="running")
    for family in scraped.labels("requests_total", "family"):
        number = scraped.sum("requests_total", family=family) or 0
        yield line("request_duration_seconds_count", number, "requests_total", family=family)
    for name, number in sorted(scraped.resets.items()):
        yield Line(f"resets({PREFIX}{name})", number, 0, 0, "promise that counters never fall")
    yield Line("good scrapes", scraped.scrapes, MIN_SCRAPES, inf, "interval")


def _bounded(scraped: Scraped, books: Books) -> Iterator[Line]:
    def line(name: str, account: str, least: float = 0, most: float = inf, **labels: str) -> Line:
        return Line(_series(name, **labels), scraped.sum(name, **labels), least, most, account)

    yield line("stream_entries_total", "journals", books.min_entries, books.max_entries)
    # Every copy of a job is dropped, and again if its holder could not acknowledge it.
    yield line("jobs_dropped_total", "journals", books.min_copies)
    yield line("jobs_dropped_total", "journals", most=books.max_copies, reason="repeat")
    # A job comes into the backlog once. There, each failed attempt that counts is written down.
    jobs = sum(books.delivered.values()) + sum(books.dead.values())
    failed = scraped.sum("jobs_deferred_total", reason="failed") or 0
    others = (scraped.sum("jobs_deferred_total") or 0) - failed
    yield Line(_series("jobs_deferred_total", 'reason!="failed"'), others, 0, jobs, "ledger")
    yield line("jobs_deferred_total", "ledger", books.failed_attempts, reason="failed")
    yield from _requests(scraped, books)


def _requests(scraped: Scraped, books: Books) -> Iterator[Line]:
    name, account = "requests_total", "sandbox"
    failures = sum(number for (_, each), number in books.requests.items() if each != "2xx")
    for family in scraped.labels(name, "family"):
        # What the sandbox answered may have come too late for the worker: then it is in `none`.
        for status in scraped.labels(name, "status"):
            if status != "none":
                value = scraped.sum(name, family=family, status=status)
                most = books.requests.get((family, status), 0)
                yield Line(_series(name, family=family, status=status), value, 0, most, account)
    counted = scraped.sum(name) or 0
    yield Line(_series(name), counted, 0, sum(books.requests.values()), account)
    # A request whose settlement was lost is sent again: at least one of its jobs arrives again.
    again = books.arrived - sum(books.delivered.values())
    succeeded = scraped.sum(name, status="2xx") or 0
    least = max(0, books.succeeded - again)
    yield Line(_series(name, status="2xx"), succeeded, least, inf, account)
    least = max(0, int(failures * (1 - LOST_PART)) - LOST_BESIDES)
    yield Line(_series(name, 'status!="2xx"'), counted - succeeded, least, inf, account)


def _series(name: str, *selectors: str, **labels: str) -> str:
    # As a query has it.
    shown = ",".join([*selectors, *(f'{label}="{value}"' for label, value in labels.items())])
    return f"{PREFIX}{name}{{{shown}}}" if shown else f"{PREFIX}{name}"
