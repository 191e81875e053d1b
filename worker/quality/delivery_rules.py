"""Rules about what did not arrive: refused calls, and what Customer.io did not apply. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from trackrelay.worker.queue.failed_calls import FailedCall, FailedCalls
from trackrelay.worker.storage.queries.verification_overview import OpenVerdicts

from . import rules
from .rules import Finding, Rule, Severity

#: What items are that are no attribute and no event.
_NOUNS = {
    "exists": "people and objects",
    "absent": "deletions",
    "merge": "merges",
    "relationship": "relationships",
    "device": "devices",
    "segment": "segments",
}

REFUSED_CALLS = Rule(
    "Q901",
    "calls are refused",
    Severity.WARNING,
    "The data of these calls is lost: segments and messages lack it.",
    "Correct the calls; until then, TRACKRELAY_ON_INVALID=dead_letter keeps their data.",
)
LOST_CALLS = Rule(
    "Q902",
    "calls are only logged",
    Severity.ERROR,
    "The data of these calls is only in the applications' logs.",
    "Set TRACKRELAY_ON_UNAVAILABLE=outbox, and no job is lost while the queue is away.",
)
IGNORED = Rule(
    "Q903",
    "Customer.io ignores what is sent",
    Severity.ERROR,
    "It was accepted and not applied: profiles and events lack it, and nothing failed.",
    "Read the reasons in `trackrelay verify --list`, correct the data and replay the jobs.",
)
NOT_THERE = Rule(
    "Q904",
    "Customer.io does not have what was delivered",
    Severity.ERROR,
    "Segments and messages lack it.",
    "Look at `trackrelay verify --list`: another program may remove it.",
)

#: These rules, by id.
DELIVERY_RULES = {each.id: each for each in list(globals().values()) if isinstance(each, Rule)}


def delivery_findings(calls: FailedCalls, verdicts: Sequence[OpenVerdicts]) -> Iterator[Finding]:
    """Yield findings about what did not arrive.

    Args:
        calls: those of the last 24 hours that enqueued nothing.
        verdicts: what is open about deliveries.
    """
    yield from _calls(REFUSED_CALLS, calls.refused, "refused because of")
    yield from _calls(LOST_CALLS, calls.unavailable, "only logged, because of")
    for rule, kind in ((IGNORED, "ignored"), (NOT_THERE, "missing")):
        yield from _verdicts(rule, [each for each in verdicts if each.verdict == kind])


def _calls(rule: Rule, calls: Iterable[FailedCall], how: str) -> Iterator[Finding]:
    by_subject: dict[tuple[str, str], list[FailedCall]] = defaultdict(list)
    for each in calls:
        by_subject[each.operation, each.source].append(each)
    for (operation, source), found in by_subject.items():
        yield Finding(
            rule=rule,
            subject=rules.from_source(operation or "calls", source),
            evidence=tuple(
                f"{each.calls:,} in 24 hours {how} {each.field or 'an unknown reason'}"
                for each in found
            ),
            sources=(source,),
        )


def _verdicts(rule: Rule, verdicts: Iterable[OpenVerdicts]) -> Iterator[Finding]:
    for each in verdicts:
        yield Finding(
            rule=rule,
            subject=_NOUNS.get(each.item, each.item.replace(":", " ", 1)),
            evidence=(
                f"{each.count:,} × from {', '.join(s or 'no source' for s in each.sources)}",
                *rules.examples(each.jobs),
            ),
            sources=each.sources,
            since=each.since,
        )
