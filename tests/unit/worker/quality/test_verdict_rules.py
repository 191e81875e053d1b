"""When a comparison becomes a verdict."""

from dataclasses import replace
from typing import Any

import msgspec

from tests.unit.worker.quality.test_sent_items import NOW, remembered
from trackrelay import operations
from trackrelay.worker.quality.comparison import Finding
from trackrelay.worker.quality.verdict_rules import (
    TRIES_AFTER,
    Circumstances,
    Judgement,
    due_names,
    judge,
)
from trackrelay.worker.reasons import VerdictKind
from trackrelay.worker.storage.sent_subjects import Subject

AFTER_S = 120.0
MISSING = Finding("attribute:plan", VerdictKind.MISSING, "it is not there")
FINE = Finding("attribute:plan", VerdictKind.VERIFIED)
CALM = Circumstances(NOW + AFTER_S, AFTER_S)


def sent() -> Subject:
    return remembered(operations.identify("42", {"plan": "pro"}))["id:42"]


def judged(finding: Finding, circumstances: Circumstances = CALM, **tries: Any) -> Judgement:
    subject = sent()
    item = msgspec.structs.replace(subject.items[finding.item], **tries)
    subject.items[finding.item] = item
    return judge(subject, subject, [finding], circumstances)


def test_an_item_is_not_compared_before_its_time() -> None:
    subject = sent()
    assert due_names(subject, NOW + AFTER_S - 1, AFTER_S) == []
    assert set(due_names(subject, NOW + AFTER_S, AFTER_S)) == {"exists", "attribute:plan"}


def test_what_is_right_is_done_at_once() -> None:
    result = judged(FINE)
    assert (result.verified, result.final, result.pending) == (["attribute:plan"], [], [])
    assert result.subject.items["attribute:plan"].is_done
    assert due_names(result.subject, NOW + 10 * AFTER_S, AFTER_S) == ["exists"]


def test_what_is_wrong_has_a_verdict_only_after_several_tries_over_minutes() -> None:
    subject, now, tries = sent(), NOW + AFTER_S, 0
    while not (result := judge(subject, subject, [MISSING], replace(CALM, now=now))).final:
        tries += 1
        assert result.pending == [MISSING]
        subject = result.subject
        assert subject.due_at is not None
        subject.items.pop("exists", None)
        now = max(subject.due_at, now)
        while "attribute:plan" not in due_names(subject, now, AFTER_S):
            now += 1
    assert tries + 1 == len(TRIES_AFTER)
    assert now - NOW >= AFTER_S * TRIES_AFTER[-1]
    assert result.final == [MISSING]
    assert result.subject.items["attribute:plan"].is_done


def test_no_verdict_while_jobs_of_the_subject_wait_and_no_try_is_counted() -> None:
    result = judged(MISSING, replace(CALM, jobs_wait=True), tries=3)
    assert (result.final, result.pending) == ([], [MISSING])
    assert result.subject.items["attribute:plan"].tries == 3
    assert result.subject.due_at is not None
    assert result.subject.due_at > CALM.now


def test_an_item_that_a_later_job_explains_has_no_verdict() -> None:
    result = judged(MISSING, replace(CALM, overtaken=frozenset({MISSING.item})), tries=3)
    assert (result.moot, result.final, result.pending) == ([MISSING.item], [], [])
    assert result.subject.items[MISSING.item].is_done


def test_an_item_that_was_written_meanwhile_is_not_judged() -> None:
    compared = sent()
    current = remembered(operations.identify("42", {"plan": "free"}))["id:42"]
    for finding in (FINE, MISSING):
        result = judge(compared, current, [finding], CALM)
        assert result.subject.items["attribute:plan"] == current.items["attribute:plan"]
        assert [*result.verified, *result.final, *result.pending] == []


def test_a_subject_whose_items_all_have_verdicts_is_not_due() -> None:
    subject = sent()
    findings = [FINE, Finding("exists", VerdictKind.VERIFIED)]
    assert judge(subject, subject, findings, CALM).subject.due_at is None


def test_unknown_takes_as_many_tries_as_any_verdict_but_verified() -> None:
    unknown = replace(MISSING, verdict=VerdictKind.UNKNOWN)
    assert judged(unknown).pending == [unknown]
    assert judged(unknown, tries=3).final == [unknown]
