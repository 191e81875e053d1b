"""The story of a job, in the order of time."""

from __future__ import annotations

from typing import Any

from trackrelay.worker.cli.find.job_query import FoundJob
from trackrelay.worker.console.job_timeline import Step, timeline
from trackrelay.worker.storage.queries.job_search import Match
from trackrelay.worker.storage.verdicts import Verdict

NOW = 1_800_000_000.0


def match(place: Any, **values: Any) -> Match:
    return Match(
        place=place,
        id="J",
        operation="person.event",
        keys=("id:42",),
        enqueued_at=NOW - 600,
        source="shop",
        **values,
    )


def told(*matches: Match, verdicts: tuple[Verdict, ...] = (), **options: Any) -> list[Step]:
    return timeline(FoundJob(matches), verdicts, NOW, **({"is_verified": True} | options))


def verdict(kind: str, state: str = "open", by: str | None = None) -> Verdict:
    return Verdict(1, "J", "id:42", None, "event:bought:J", kind, "not there", None, state, by, NOW)


def test_a_delivered_job_is_not_called_applied() -> None:
    steps = told(match("ledger", at=NOW - 500, outcome="delivered", attempts=2))
    assert [(step.title, step.tone) for step in steps] == [
        ("Enqueued", ""),
        ("Delivered", "good"),
        ("Not known whether it was applied", "dim"),
    ]
    assert steps[1].text == "Customer.io accepted it with attempt 2."
    (*_, last) = told(match("ledger", at=NOW, outcome="delivered"), is_verified=False)
    assert "TRACKRELAY_VERIFY is off" in last.text


def test_a_verdict_ends_the_story() -> None:
    ledger = match("ledger", at=NOW - 500, outcome="delivered")
    (*_, missing) = told(ledger, verdicts=(verdict("missing"),))
    assert (missing.title, missing.tone) == ("Missing", "bad")
    assert missing.text == "event:bought; not there"
    (*_, settled) = told(ledger, verdicts=(verdict("missing", "resolved", "verified"),))
    assert (settled.tone, settled.text.endswith("settled: verified")) == ("dim", True)
    (*_, unknown) = told(ledger, verdicts=(verdict("unknown"),))
    assert unknown.tone == "warn"


def test_a_replayed_dead_letters_history_is_in_order_of_time() -> None:
    history = (
        {"at": NOW - 500, "what": "rejected", "status": 400, "error": "no such plan"},
        {
            "at": NOW - 300,
            "what": "replayed",
            "who": "ada (console)",
            "note": "a typo",
            "changes": [{"path": "attributes.plan", "before": "platinum", "after": "pro"}],
        },
    )
    steps = told(
        match("dead_letters", at=NOW - 500, reason="rejected", state="delivered", history=history),
        match("ledger", at=NOW - 200, outcome="delivered"),
    )
    assert [step.title for step in steps] == [
        "Enqueued",
        "Rejected",
        "Replayed",
        "Delivered",
        "Not known whether it was applied",
    ]
    assert steps[2].text == "by ada (console); a typo"
    # Values are content: they are apart, for those who may see them.
    assert steps[2].changes[0]["after"] == "pro"
    assert "platinum" not in " ".join(step.text for step in steps)


def test_waiting_jobs_are_reported_as_they_are_now() -> None:
    waiting = match("backlog", at=NOW - 60, reason="breaker", shard=1, lane="live", due_at=NOW + 5)
    (_, now) = told(waiting)
    assert (now.at, now.tone) == (None, "warn")
    assert now.text == "shard 1, live lane, for 1 min: breaker, next attempt in 5 s"
    (_, dead) = told(match("dead_letters", at=NOW, reason="rejected", state="open", error="no"))
    assert (dead.title, dead.tone) == ("Dead letter: rejected", "bad")
    (_, dropped) = told(match("ledger", at=NOW, outcome="blocked"))
    assert (dropped.title, dropped.tone) == ("Blocked", "")


def test_a_hostile_history_is_shown_too() -> None:
    history: Any = ({"what": None}, {"at": "yesterday", "changes": "x"}, {"at": 1e300, "what": "x"})
    assert len(told(match("dead_letters", state="open", at=NOW, history=history))) == 5
