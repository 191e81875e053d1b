"""Rules about what did not arrive: refused calls, and what Customer.io did not apply. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from trackrelay.worker.queue.failed_calls import FailedCall, FailedCalls
from trackrelay.worker.storage.queries.verification_overview import OpenVerdicts

from . import rules
from .rules import Finding

#: What items are that are no attribute and no event.
_NOUNS = {
    "exists": "people and objects",
    "absent": "deletions",
    "merge": "merges",
    "relationship": "relationships",
    "device": "devices",
    "segment": "segments",
}


def delivery_findings(calls: FailedCalls, verdicts: Sequence[OpenVerdicts]) -> Iterator[Finding]:
    """Yield findings about what did not arrive.

    Args:
        calls: those of the last 24 hours that enqueued nothing.
        verdicts: what is open about deliveries.
    """
    yield from _calls(rules.REFUSED_CALLS, calls.refused, "refused because of")
    yield from _calls(rules.LOST_CALLS, calls.unavailable, "only logged, because of")
    for rule, kind in ((rules.IGNORED, "ignored"), (rules.NOT_THERE, "missing")):
        yield from _verdicts(rule, [each for each in verdicts if each.verdict == kind])


def _calls(rule: rules.Rule, calls: Iterable[FailedCall], how: str) -> Iterator[Finding]:
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


def _verdicts(rule: rules.Rule, verdicts: Iterable[OpenVerdicts]) -> Iterator[Finding]:
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
