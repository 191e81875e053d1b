"""Verification in ``status``."""

from typing import Any

import pytest

from trackrelay.worker.cli.status.status_hints import hints
from trackrelay.worker.cli.status.status_verdict import verdict
from trackrelay.worker.cli.status.verification_status import document, remark
from trackrelay.worker.storage.queries.backlog_overview import Overview
from trackrelay.worker.storage.queries.verification_overview import VerificationOverview

from .snapshots import NOW, snapshot


def texts(**verification: Any) -> list[tuple[str, str]]:
    found = snapshot(postgres=Overview(shards=4, verification=VerificationOverview(**verification)))
    return [(hint.severity, hint.text) for hint in hints(found)]


@pytest.mark.parametrize("kind", ["ignored", "missing"])
def test_what_was_lost_is_wrong_and_never_well(kind: str) -> None:
    assert texts(open={kind: 3}) == [
        ("wrong", f"Customer.io accepted deliveries and does not have what they sent: 3 {kind}.")
    ]
    overview = Overview(shards=4, verification=VerificationOverview(open={kind: 3}))
    assert "But there is 1 problem" in verdict(snapshot(postgres=overview)).sentence


def test_what_is_different_is_a_warning_and_what_is_unknown_nothing() -> None:
    assert texts(open={"different": 1}) == [
        ("warning", "Customer.io has something else than was sent: 1 item.")
    ]
    assert texts(open={"unknown": 9}) == []


def test_why_nothing_is_verified_is_a_warning() -> None:
    problem = "https://api.customer.io refuses CUSTOMERIO_APP_API_KEY (401)"
    assert texts(problem=problem, problem_since=NOW - 120) == [
        ("warning", f"Deliveries are not verified for 2 min: {problem}.")
    ]


def test_late_comparisons_are_reported() -> None:
    assert texts(due=5, next_due=NOW - 60) == []
    ((severity, text),) = texts(due=5, next_due=NOW - 7200)
    assert severity == "note"
    assert text.startswith("Comparisons are 2 h late: raise TRACKRELAY_VERIFY_RATE")


def test_one_line_and_one_document_have_the_numbers() -> None:
    found = VerificationOverview(
        open={"missing": 2, "ignored": 1}, due=3, next_due=NOW, verified_today=1234, verified=5000
    )
    assert remark(found) == (
        "1 ignored and 2 missing open; 1,234 verified today; 3 comparisons due"
    )
    assert document(found)["open"] == {"ignored": 1, "missing": 2, "different": 0, "unknown": 0}
    assert remark(VerificationOverview()) == "no verdict open; 0 verified today"
