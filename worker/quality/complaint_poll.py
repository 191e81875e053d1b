"""Reads the workspace's complaints behind a cursor, and writes verdicts and dead letters."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import sqlalchemy as sa
import structlog

from trackrelay.app_api import Activity, AppApi, AppApiRequestError
from trackrelay.worker.storage import dead_letters, state, verdicts
from trackrelay.worker.storage.blocklist import Blocklist
from trackrelay.worker.storage.complaint_jobs import suspects
from trackrelay.worker.storage.key_hasher import KeyHasher

from .complaints import (
    NEAR_S,
    OBJECT_TYPES,
    TYPES,
    Complaint,
    cause_of,
    complaints_of,
    letter_of,
    verdict_on,
)

log = structlog.get_logger("trackrelay.verification")

#: How often each type is asked for.
EVERY_S = 60.0
#: How often it is asked which types of objects there are.
OBJECT_TYPES_EVERY_S = 3_600.0
#: A complaint this young may be about a job that is not settled yet.
MIN_AGE_S = 10.0
#: Pages of one type that are read at once. The next poll continues.
MAX_PAGES = 3
#: The name of the cursor in the table of facts.
STATE = "complaints"


class Cursor(msgspec.Struct):
    """How far complaints of one type were read. Times are unix seconds."""

    polled_at: float = 0.0
    #: Complaints up to here are counted.
    until: float | None = None
    #: Where the next page begins, if the last poll read only some.
    start: str | None = None
    #: What ``until`` becomes once all pages are read.
    reached: float = 0.0


class Progress(msgspec.Struct):
    """How far all complaints were read."""

    cursors: dict[str, Cursor] = {}
    object_types: list[str] = []
    object_types_at: float = 0.0


@dataclass(slots=True)
class ComplaintPoll:
    """Reads complaints of the workspace.

    Args:
        engine: the workers' database.
        api: Customer.io.
        hasher: with the secret of the stored keys.
        window_s: how far back the first poll goes.
        min_age_s: how old a complaint must be.
        every_s: how often each type is asked for.
    """

    engine: sa.Engine
    api: AppApi
    hasher: KeyHasher
    window_s: float
    min_age_s: float = MIN_AGE_S
    every_s: float = EVERY_S
    requests: int = field(default=0)

    def run(self, now: float, max_requests: int) -> int:
        """Ask for the types whose turn it is; return how many complaints are new.

        Args:
            now: unix seconds by the clock of Postgres.
            max_requests: to the App API; a poll that has begun reads up to ``MAX_PAGES``.

        Raises:
            AppApiError: the App API does not answer, or refuses the key.
        """
        with self.engine.connect() as connection:
            stored = state.get(connection, STATE)
        progress = msgspec.convert(stored, Progress) if stored else Progress()
        new = 0
        for type in self._due_types(progress, now):
            if self.requests >= max_requests:
                break
            new += self._poll(type, progress, now)
        return new

    def _due_types(self, progress: Progress, now: float) -> list[str]:
        """Return the types whose turn it is, the one first that was asked for least recently."""
        if now - progress.object_types_at >= OBJECT_TYPES_EVERY_S:
            self.requests += 1
            try:
                progress.object_types = [each.id for each in self.api.object_types()]
            except AppApiRequestError:
                progress.object_types = []
            progress.object_types_at = now
        of_objects = [each.format(id) for id in progress.object_types for each in OBJECT_TYPES]
        types = [*TYPES, *of_objects]
        polled = {type: progress.cursors.get(type, Cursor()).polled_at for type in types}
        due = [type for type in types if now - polled[type] >= self.every_s]
        return sorted(due, key=lambda type: polled[type])

    def _poll(self, type: str, progress: Progress, now: float) -> int:
        cursor = progress.cursors.setdefault(type, Cursor())
        since = now - self.window_s if cursor.until is None else cursor.until - NEAR_S
        results = self.api.activities(type=type, start=cursor.start)
        new, finished = 0, False
        for _ in range(MAX_PAGES):
            self.requests += 1
            page = results.page()
            settled = [each for each in page if since <= each.timestamp <= now - self.min_age_s]
            new += self._count(settled, now)
            cursor.reached = max([cursor.reached, *(float(each.timestamp) for each in settled)])
            is_old = bool(page) and page[-1].timestamp < since
            finished = is_old or results.next_start is None
            if finished:
                break
        cursor.start = None if finished else results.next_start
        if finished:
            cursor.until = max(cursor.until or 0.0, cursor.reached) or now - self.window_s
            cursor.polled_at = now
        with self.engine.begin() as connection:
            # After the verdicts: a complaint that is read again is known by its id.
            state.put(connection, STATE, progress)
            verdicts.resolve_replayed(connection)
        return new

    def _count(self, activities: list[Activity], now: float) -> int:
        found = [
            complaint
            for activity in activities
            for complaint in complaints_of(activity, self.hasher.stored)
        ]
        if not found:
            return 0
        with self.engine.connect() as connection:
            known = verdicts.known_activities(connection, [each.activity_id for each in found])
        fresh = [each for each in found if each.activity_id not in known]
        # The earliest first, so that the latest one is the open verdict.
        for complaint in sorted(fresh, key=lambda each: each.at):
            self._write(complaint, now)
        return len(fresh)

    def _write(self, complaint: Complaint, now: float) -> None:
        blocklist = Blocklist(self.hasher)
        with self.engine.begin() as connection:
            if blocklist.any_blocked(blocklist.locked(connection), complaint.keys):
                return  # the person was forgotten
            near = suspects(
                connection,
                complaint.keys,
                item=complaint.item,
                at=complaint.at,
                near_s=NEAR_S,
                job_id=complaint.job_id,
            )
            job = cause_of(complaint, near)
            verdict = verdict_on(complaint, job)
            verdicts.record(connection, verdict)
            letter = job and letter_of(complaint, job, self.hasher.stored, now)
            letters = dead_letters.insert_new(connection, [letter]) if letter else frozenset()
        values = {"item": verdict.item, "key": verdict.key, "reason": verdict.reason}
        if job is None:
            log.info("complaint_about_others", **values)
        else:
            letter_id = next(iter(letters), None)
            log.warning("delivery_ignored", job=job.id, dead_letter=letter_id, **values)
