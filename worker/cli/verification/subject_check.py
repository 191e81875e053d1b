"""Compares subjects now, a few times, and writes down what became of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from trackrelay.app_api import AppApiError, AppApiNotFoundError
from trackrelay.operations.refs import Person
from trackrelay.worker.quality.comparison import Finding
from trackrelay.worker.quality.verifier import Look, Verifier, database_time
from trackrelay.worker.reasons import VerdictKind
from trackrelay.worker.storage.sent_subjects import Item, Subject

#: Looks at a subject that is not right, and the pause between two of them.
LOOKS = 3
PAUSE_S = 1.0
#: An item is judged once it was delivered so long ago, in multiples of TRACKRELAY_VERIFY_AFTER.
SETTLED_AFTER = 2.0


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of one item. ``pending``: it is not right, and it is too early for a verdict."""

    key: str
    item: str
    #: A ``VerdictKind``, or ``pending``.
    verdict: str
    reason: str = ""
    job_id: str | None = None
    operation: str | None = None


@dataclass(slots=True)
class CheckReport:
    """What a check found."""

    subjects: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    #: What is not verified.
    results: list[ItemResult] = field(default_factory=list)
    #: Why the check ended early, or "".
    problem: str = ""

    @property
    def is_right(self) -> bool:
        """Whether everything that could be compared is right."""
        wrong = (VerdictKind.IGNORED, VerdictKind.MISSING, VerdictKind.DIFFERENT)
        return not self.problem and not any(self.counts[kind] for kind in wrong)


@dataclass(slots=True)
class SubjectCheck:
    """Checks subjects one after the other.

    Args:
        verifier: compares them.
        segment: a segment in which each person must be; None: none.
        sleep: waits between two looks.
    """

    verifier: Verifier
    segment: int | None = None
    sleep: Callable[[float], None] = time.sleep

    def run(
        self, subjects: Sequence[Subject], progress: Callable[[int], None] = lambda done: None
    ) -> CheckReport:
        """Compare ``subjects``, and return what was found, up to an error of the App API."""
        report = CheckReport()
        try:
            for done, subject in enumerate(subjects, 1):
                self._check(subject, report)
                report.subjects += 1
                progress(done)
        except AppApiError as error:
            report.problem = str(error)
        return report

    def _check(self, subject: Subject, report: CheckReport) -> None:
        now = database_time(self.verifier.engine)
        names = list(subject.items)
        look = self.verifier.look(subject, names, now)
        for _ in range(LOOKS - 1):
            if not any(self._is_settled(subject.items[each.item], now) for each in look.bad):
                break
            self.sleep(PAUSE_S)
            now = database_time(self.verifier.engine)
            look = self.verifier.look(subject, names, now)
        self._conclude(look, now, report)
        if self.segment is not None and "object_id" not in subject.address:
            self._check_membership(subject, self.segment, report)

    def _conclude(self, look: Look, now: float, report: CheckReport) -> None:
        # Items that are young stay as they are: the workers count their tries.
        judged, early = [], []
        for finding in look.findings:
            is_fine = finding.verdict in (None, VerdictKind.VERIFIED)
            item = look.subject.items[finding.item]
            if is_fine or finding.item in look.overtaken or self._is_settled(item, now):
                judged.append(finding)
            else:
                early.append(finding)
        judgement = self.verifier.conclude(
            replace(look, findings=tuple(judged)), is_last=lambda item: True
        )
        if judgement is None:
            return
        report.counts[VerdictKind.VERIFIED] += len(judgement.verified)
        for finding in judgement.final:
            report.counts[str(finding.verdict)] += 1
            report.results.append(_result(look.subject, finding, str(finding.verdict)))
        for finding in (*early, *judgement.pending):
            report.counts["pending"] += 1
            report.results.append(_result(look.subject, finding, "pending"))

    def _check_membership(self, subject: Subject, segment: int, report: CheckReport) -> None:
        name = f"segment:{segment}"
        address = {kind: value for kind, value in subject.address.items() if kind != "into"}
        try:
            segments = {each.id for each in self.verifier.api.segments(Person(**address))}
        except AppApiNotFoundError:
            segments = set()
        if segment in segments:
            report.counts[VerdictKind.VERIFIED] += 1
            return
        report.counts[VerdictKind.MISSING] += 1
        reason = f"the person is not in segment {segment}"
        report.results.append(ItemResult(subject.key, name, VerdictKind.MISSING, reason))

    def _is_settled(self, item: Item, now: float) -> bool:
        return now - item.delivered_at >= SETTLED_AFTER * self.verifier.after_s


def _result(subject: Subject, finding: Finding, verdict: str) -> ItemResult:
    item = subject.items[finding.item]
    return ItemResult(
        subject.key, finding.item, verdict, finding.reason, item.job, item.operation or None
    )
