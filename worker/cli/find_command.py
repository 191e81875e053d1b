"""``trackrelay find``."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import click
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.errors import TrackRelayError
from trackrelay.worker.queue import queue_config
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.queries.job_search import Place, Trace, search
from trackrelay.worker.telemetry.visible_text import visible, visible_values

from .common.command_errors import CommandFailed, explain
from .common.command_stores import Stores, open_stores
from .common.humanize import MOST, count, duration
from .common.output import moment, print_json, say, show
from .find.find_screen import screen
from .find.query import Asked, asked
from .find.results import FoundJob, by_job, shown
from .find.stream_matches import Scan, scan

#: Entries of the streams that are looked at unless another number is asked for: a second or two.
ENTRIES = 100_000


@click.command()
@click.argument("job_id", required=False, metavar="[JOB_ID]")
@click.option("--idempotency-key", metavar="KEY", help="The jobs of this call.")
@click.option(
    "--person",
    metavar="PERSON",
    help="Somebody's jobs: 42, email:ada@example.com, phone:+1…, anonymous:…",
)
@click.option(
    "--key", metavar="KEY", help="A key's jobs: object:1:acme, or one as logs show it, email:#…"
)
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1, MOST - 1), help="Jobs to show."
)
@click.option(
    "--scan",
    "entries",
    default=ENTRIES,
    show_default=True,
    type=click.IntRange(0, MOST),
    help="Entries of the streams, and of the outbox, to look at; 0: all.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def find(
    job_id: str | None,
    idempotency_key: str | None,
    person: str | None,
    key: str | None,
    limit: int,
    entries: int,
    as_json: bool,
) -> None:
    """Say where a job, or somebody's jobs, are now, and what became of them.

    Looks in the streams, the backlog, the dead letters and the ledger, and with TRACKRELAY_OUTBOX_URL at what waits in the
    outbox. Exit status 1 if there is no trace.
    """
    wanted = asked(job_id, idempotency_key, person, key)
    with open_stores() as stores:
        search = _Search(stores, wanted)
        search.run(entries, limit)
    jobs = by_job(search.traces)
    if as_json:
        print_json(_document(shown(jobs, limit), search))
    elif jobs:
        show(
            screen(
                visible(wanted.words),
                visible_values(jobs),
                search.totals(),
                time.time(),
                limit=limit,
            )
        )
    for remark in search.remarks():
        say(f"trackrelay: {remark}", err=True)
    if search.problems or not jobs:
        raise CommandFailed("\n".join(search.problems or [search.nothing()]))


@dataclass(slots=True)
class _Search:
    stores: Stores
    asked: Asked
    traces: list[Trace] = field(default_factory=list)
    scanned: Scan = field(default_factory=Scan)
    in_postgres: dict[Place, int] = field(default_factory=dict)
    outbox_is_complete: bool = True
    #: What could not be looked through.
    problems: list[str] = field(default_factory=list)

    def run(self, entries: int, limit: int) -> None:
        """Look everywhere that answers."""
        hasher = self._in_postgres(limit)
        self._in_outbox(hasher, entries)
        try:
            self.scanned = scan(self.stores.redis, self.asked, hasher, entries)
            self.traces += self.scanned.found
        except RedisError as error:
            self.problems.append(explain(error) or str(error))

    def _in_postgres(self, limit: int) -> KeyHasher | None:
        try:
            hasher = self.stores.hasher()
            with self.stores.engine.connect() as connection:
                # One more than is shown, to know that there are more.
                found = search(connection, self.asked.stored(hasher), limit + 1)
            self.traces += found.traces
            self.in_postgres = found.totals
            return hasher
        except SQLAlchemyError as error:
            self.problems.append(explain(error) or str(error))
            return None

    def _in_outbox(self, hasher: KeyHasher | None, entries: int) -> None:
        if self.stores.outbox is None:
            return
        from .find.outbox_matches import look

        try:
            found, self.outbox_is_complete = look(
                self.stores.outbox, self._generation(), self.asked, hasher, entries
            )
            self.traces += found
        except TrackRelayError as error:
            self.problems.append(str(error))

    def _generation(self) -> str | None:
        try:
            config = queue_config.read(self.stores.redis)
        except RedisError:
            return None  # said when the streams are looked through
        return config.generation if config else ""

    def totals(self) -> dict[Place, int]:
        """How many traces there are in each place, those that were not loaded included."""
        return dict(Counter(trace.place for trace in self.traces)) | self.in_postgres

    def remarks(self) -> list[str]:
        """What is to be said about the search itself."""
        remarks = []
        if not self.scanned.is_complete:
            looked_at = count(self.scanned.looked_at, "stream entry", "stream entries")
            remarks.append(
                f"looked at {looked_at} of {self.scanned.entries:,}; --scan 0 looks at all of them"
            )
        if not self.outbox_is_complete:
            remarks.append(
                "more waits in the outbox than was looked at; --scan 0 looks at all of it"
            )
        return remarks

    def nothing(self) -> str:
        """That there is no trace, and what that means."""
        kept = duration(self.stores.settings.ledger_retention.total_seconds())
        return (
            f"no trace of {self.asked.words}: it was never enqueued here, or it was delivered more than {kept} ago "
            "(TRACKRELAY_LEDGER_RETENTION)"
        )


def _document(jobs: list[FoundJob], search: _Search) -> dict[str, Any]:
    return {
        "asked": search.asked.words,
        "jobs": [_job(job) for job in jobs],
        "totals": search.totals(),
        "streams": {"entries": search.scanned.entries, "looked_at": search.scanned.looked_at},
        "problems": search.problems,
    }


def _job(job: FoundJob) -> dict[str, Any]:
    first = job.first
    return {
        "id": job.id,
        "where": job.where,
        "operation": first.operation,
        "keys": list(first.keys),
        "source": first.source,
        "idempotency_key": first.idempotency_key,
        "enqueued_at": moment(first.enqueued_at),
        "found_in": [_place(trace) for trace in job.traces],
    }


_COMMON = {"id", "operation", "keys", "source", "idempotency_key", "enqueued_at"}


def _place(trace: Trace) -> dict[str, Any]:
    told = {
        name: value
        for name, value in asdict(trace).items()
        if name not in _COMMON and value not in (None, ())
    }
    if not trace.deliveries:
        del told["deliveries"]
    return told | {name: moment(told[name]) for name in ("at", "due_at") if name in told}
