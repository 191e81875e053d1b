"""What happened to a job, from the call to the verdict, in the order of time. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trackrelay.worker.cli.find.job_query import FoundJob
from trackrelay.worker.cli.find.job_render import describe_place, error_text
from trackrelay.worker.cli.verification.verdict_items import item_text
from trackrelay.worker.reasons import DeathReason, LedgerOutcome, VerdictKind
from trackrelay.worker.storage.letter_history import left_out_text
from trackrelay.worker.storage.queries.job_search import Match
from trackrelay.worker.storage.verdicts import BAD, Verdict

#: The colour of each place in which a job can be.
TONES = {
    "unrelayed": "dim",
    "queued": "dim",
    "waiting": "warn",
    "replaying": "warn",
    "delivered": "good",
    "dead": "bad",
    "discarded": "dim",
    "blocked": "dim",
    "erased": "dim",
}
_DEATHS = {str(each): each.explanation for each in DeathReason}
_DROPPED = {str(each): each.explanation for each in LedgerOutcome if each != "delivered"}
_VERDICTS = {str(each): each.explanation for each in VerdictKind}
_FAILURES = frozenset({"failed", "retry", *_DEATHS})


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened; without a time, it is so now."""

    at: float | None
    title: str
    text: str = ""
    tone: str = ""
    #: Values that were changed: content, which not everybody may see.
    changes: tuple[Mapping[str, Any], ...] = ()


def timeline(
    job: FoundJob, verdicts: Sequence[Verdict], now: float, *, is_verified: bool
) -> list[Step]:
    """Return what happened to a job.

    Args:
        job: with every place in which it was found.
        verdicts: on its delivery.
        now: unix seconds.
        is_verified: whether deliveries are compared with what Customer.io has.
    """
    steps = [_enqueued(job.first)]
    for match in job.matches:
        steps += _history(match)
        steps += _place(match, now)
    steps += [_verdict(each) for each in verdicts]
    past = sorted((step for step in steps if step.at is not None), key=lambda step: step.at or 0)
    present = [step for step in steps if step.at is None]
    if job.where == "delivered" and not verdicts:
        present.append(_not_verified(is_verified))
    return [*past, *present]


def _enqueued(match: Match) -> Step:
    parts = [f"by {match.source}" if match.source else ""]
    parts += [f"idempotency key {match.idempotency_key}" if match.idempotency_key else ""]
    return Step(match.enqueued_at, "Enqueued", ", ".join(filter(None, parts)))


def _history(match: Match) -> Iterator[Step]:
    for event in match.history:
        what = str(event.get("what", ""))
        parts = [f"by {event['who']}" if event.get("who") else ""]
        parts += [
            str(event[name]) for name in ("note", "status", "field", "error") if event.get(name)
        ]
        parts.append(left_out_text(event))
        at = event.get("at")
        yield Step(
            float(at) if isinstance(at, int | float) else match.enqueued_at,
            what.replace("_", " ").capitalize() or "Changed",
            "; ".join(filter(None, parts)),
            "warn" if what in _FAILURES else "",
            tuple(each for each in event.get("changes") or () if isinstance(each, dict)),
        )


def _place(match: Match, now: float) -> Iterator[Step]:
    if match.place == "outbox":
        yield Step(None, "In the outbox", describe_place(match, now).plain)
    elif match.place == "stream":
        yield Step(None, "In the queue", describe_place(match, now).plain)
    elif match.place == "backlog":
        yield Step(None, "Waits", describe_place(match, now).plain, "warn")
    elif match.place == "ledger":
        yield _settled(match)
    elif match.state == "open":
        yield _dead(match)
    elif match.state == "discarded":
        yield Step(None, "Discarded", "It is not sent any more.")


def _settled(match: Match) -> Step:
    if match.outcome in _DROPPED:
        return Step(match.at, str(match.outcome).capitalize(), _DROPPED[match.outcome])
    attempts = f" with attempt {match.attempts}" if match.attempts > 1 else ""
    return Step(match.at, "Delivered", f"Customer.io accepted it{attempts}.", "good")


def _dead(match: Match) -> Step:
    explained = _DEATHS.get(match.reason or "", match.reason or "")
    return Step(
        match.at,
        f"Dead letter: {(match.reason or 'unknown').replace('_', ' ')}",
        ": ".join(filter(None, (explained, error_text(match)))),
        "bad",
    )


def _verdict(verdict: Verdict) -> Step:
    explained = _VERDICTS.get(verdict.verdict, "")
    parts = [item_text(verdict.item), verdict.reason or explained]
    is_open = verdict.state == "open"
    if not is_open:
        parts.append(f"settled: {verdict.resolved_by}")
    tone = ("bad" if verdict.verdict in BAD else "warn") if is_open else "dim"
    tone = "good" if verdict.verdict == VerdictKind.VERIFIED else tone
    return Step(
        verdict.checked_at, verdict.verdict.capitalize(), "; ".join(filter(None, parts)), tone
    )


def _not_verified(is_verified: bool) -> Step:
    text = (
        "No verdict says that Customer.io did not apply it."
        if is_verified
        else "Deliveries are not compared with what Customer.io has: TRACKRELAY_VERIFY is off."
    )
    return Step(None, "Not known whether it was applied", text, "dim")
