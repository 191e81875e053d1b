"""Compares one subject with what Customer.io has, and writes down what became of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import redis
import sqlalchemy as sa

from trackrelay.app_api import AppApi
from trackrelay.worker.storage import later_jobs, sent_subjects, verdicts
from trackrelay.worker.storage.key_hasher import KeyHasher
from trackrelay.worker.storage.sent_subjects import Subject
from trackrelay.worker.storage.verdicts import BAD, NewVerdict

from .app_evidence import EvidenceReader
from .comparison import Comparison, Finding, Seen
from .jobs_under_way import may_be_under_way
from .sent_items import ABSENT, ATTRIBUTE, MERGED, RELATIONSHIP
from .verdict_rules import Circumstances, Judgement, is_last_try, judge

#: Jobs of two keys are settled in any order. What was settled this much earlier may have been sent
#: later.
SETTLING_S = 5.0
#: A job that is delivered so long after its own time may be behind jobs that are forgotten.
LATE_S = 60.0


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a subject showed."""

    subject: Subject
    findings: tuple[Finding, ...]
    #: Whether jobs of the subject wait, or are being delivered.
    jobs_wait: bool = False
    #: Items that a later job explains.
    overtaken: frozenset[str] = frozenset()
    #: When the App API was asked, by the clock of Postgres.
    at: float = 0.0

    @property
    def bad(self) -> list[Finding]:
        """The items that are not right, unless a later job explains them."""
        return [
            each
            for each in self.findings
            if each.verdict in BAD and each.item not in self.overtaken
        ]


@dataclass(slots=True)
class Verifier:
    """Compares subjects.

    Args:
        engine: the workers' database.
        redis: the queue.
        api: Customer.io.
        hasher: with the secret of the stored keys.
        after_s: TRACKRELAY_VERIFY_AFTER.
    """

    engine: sa.Engine
    redis: redis.Redis = field(repr=False)
    api: AppApi
    hasher: KeyHasher
    after_s: float
    reader: EvidenceReader = field(init=False)

    def __post_init__(self) -> None:
        self.reader = EvidenceReader(self.api, self.hasher)

    def look(self, subject: Subject, names: Collection[str], now: float) -> Look:
        """Ask the App API about a subject, and compare its items ``names``. Writes nothing.

        Args:
            subject: as it was read.
            names: of its items.
            now: unix seconds by the clock of Postgres.

        Raises:
            AppApiError: the App API does not answer, or refuses the key.
        """
        seconds, microseconds = self.redis.time()
        asked_at = seconds + microseconds / 1e6
        seen = self.reader.read(subject, names)
        look = self._compared(subject, names, seen, now)
        if not look.bad:
            return look
        seen = self.reader.with_deletion(subject, seen)
        return self._explained(self._compared(subject, names, seen, now), seen, asked_at)

    def _compared(self, subject: Subject, names: Collection[str], seen: Seen, now: float) -> Look:
        findings = Comparison(subject, seen, self.hasher.digest, now).findings(names)
        return Look(subject, tuple(findings), at=now)

    def _explained(self, look: Look, seen: Seen, asked_at: float) -> Look:
        subject = look.subject
        # Read the streams first: what leaves them meanwhile is in the backlog or the ledger.
        under_way = may_be_under_way(self.redis, subject.address, asked_at)
        names = {subject.key, *seen.keys}
        with self.engine.connect() as connection:
            waits = later_jobs.is_waiting(connection, names)
            others = sent_subjects.among(connection, names - {subject.key})
            overtaken = {
                finding.item
                for finding in look.bad
                if self._is_overtaken(connection, subject, finding.item, names, others)
            }
        return Look(subject, look.findings, under_way or waits, frozenset(overtaken), look.at)

    def _is_overtaken(
        self,
        connection: sa.Connection,
        subject: Subject,
        name: str,
        keys: set[str],
        others: Sequence[Subject],
    ) -> bool:
        """Return whether a later job explains why an item is not right.

        Args:
            connection: of the workers' database.
            subject: whose item it is.
            name: of the item.
            keys: all keys of the person.
            others: what was sent under the other keys, as far as it is remembered.
        """
        item = subject.items[name]
        # A write with a later time counts at Customer.io, even if it was delivered earlier.
        since = min(item.delivered_at, item.timestamp) - SETTLING_S
        for other in others:
            told = (other.items.get(each) for each in (name, ABSENT, MERGED))
            if any(each and each.delivered_at >= since for each in told):
                return True
        known = {item.job for each in (subject, *others) for item in each.items.values()}
        elsewhere = (keys | _other_end(name)) - {subject.key}
        if later_jobs.was_written(connection, elsewhere, since, known):
            return True
        # An earlier merge brought values of the other person, with times that may be later.
        until = item.delivered_at + SETTLING_S
        if name.startswith(ATTRIBUTE) and later_jobs.was_merged(connection, keys, since, until):
            return True
        # What was sent under the same key is remembered in order, but not for ever.
        is_late = item.delivered_at - item.timestamp > LATE_S
        own_since = item.timestamp if is_late else item.delivered_at + 0.001
        return later_jobs.was_written(connection, {subject.key}, own_since, known)

    def conclude(self, look: Look, *, is_last: Any = is_last_try) -> Judgement | None:
        """Write down what a look means; return it, or None if the subject was forgotten meanwhile.

        Args:
            look: what was found.
            is_last: whether one more comparison that does not find an item is enough.
        """
        with self.engine.begin() as connection:
            loaded = sent_subjects.load(connection, [look.subject.key])
            current = loaded.subjects.get(look.subject.key)
            if current is None:
                return None
            circumstances = Circumstances(
                loaded.now, self.after_s, look.jobs_wait, look.overtaken, is_last
            )
            judgement = judge(look.subject, current, look.findings, circumstances)
            sent_subjects.save(connection, [judgement.subject])
            self._write(connection, current, judgement, loaded.now)
        return judgement

    def _write(
        self, connection: sa.Connection, current: Subject, judgement: Judgement, now: float
    ) -> None:
        if judgement.verified:
            verdicts.resolve_verified(connection, current.key, judgement.verified)
            day = datetime.fromtimestamp(now, UTC).date().isoformat()
            verdicts.count_verified(connection, day, len(judgement.verified))
        for verdict in new_verdicts(current, judgement.final):
            verdicts.record(connection, verdict)


def new_verdicts(subject: Subject, findings: Sequence[Finding]) -> list[NewVerdict]:
    """Return findings as verdicts on the jobs that sent the items."""
    return [
        NewVerdict(
            job_id=(item := subject.items[finding.item]).job,
            key=subject.key,
            operation=item.operation,
            item=finding.item,
            verdict=finding.verdict,
            reason=finding.reason,
        )
        for finding in findings
        if finding.verdict is not None
    ]


def database_time(engine: sa.Engine) -> float:
    """Return the time by the clock of Postgres, in unix seconds."""
    with engine.connect() as connection:
        return float(connection.execute(sa.text("SELECT extract(epoch FROM now())")).scalar_one())


def _other_end(item: str) -> set[str]:
    return {item.removeprefix(RELATIONSHIP)} if item.startswith(RELATIONSHIP) else set()
