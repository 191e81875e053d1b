"""Rules about what names say: secrets, placeholders, numbers. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from . import names, rules
from .catalog import Catalog, SubjectStats
from .rules import Finding

#: Names of one form that differ by a number, such as ``item_1_sku``: more are made by a loop.
MAX_NUMBERED_ATTRIBUTES, MAX_NUMBERED_EVENTS = 5, 10


def word_findings(catalog: Catalog, since: float = 0.0) -> Iterator[Finding]:
    """Yield findings about names that should not be any, seen after ``since`` (unix seconds)."""
    events: dict[str, set[str]] = defaultdict(set)
    for stats in catalog.subjects.values():
        subject = stats.subject
        if stats.last_seen < since:
            continue
        if subject.name:
            events[subject.source].add(subject.name)
            if names.is_placeholder(subject.name) or names.is_trial(subject.name):
                evidence = f"{stats.jobs:,} × {subject.name}"
                yield _finding(rules.PLACEHOLDER, subject.name, evidence, stats)
        yield from _attribute_findings(stats, since)
    for source, found in events.items():
        for form, number in _numbered(found, MAX_NUMBERED_EVENTS):
            yield Finding(
                rule=rules.INVENTED_NAMES,
                subject=rules.from_source(form, source),
                evidence=(f"{number:,} different events have this form",),
                sources=(source,),
            )


def _attribute_findings(stats: SubjectStats, since: float) -> Iterator[Finding]:
    of = stats.subject.name or stats.subject.operation
    recent = [each for each in stats.attributes.values() if each.last_seen >= since]
    for attribute in recent:
        leaf = attribute.path.rpartition(".")[2].removesuffix("[]")
        if names.is_secret(leaf) or names.is_placeholder(leaf):
            rule = rules.SECRET if names.is_secret(leaf) else rules.PLACEHOLDER
            evidence = f"{attribute.count:,} × {attribute.path}"
            yield _finding(rule, f"{of}.{attribute.path}", evidence, stats)
    for form, number in _numbered((each.path for each in recent), MAX_NUMBERED_ATTRIBUTES):
        evidence = f"{number:,} different attributes have this form"
        yield _finding(rules.INVENTED_NAMES, f"{of}.{form}", evidence, stats)


def _numbered(found: Iterable[str], limit: int) -> Iterator[tuple[str, int]]:
    """Yield the common beginnings of names that go on with too many different numbers."""
    numbers: dict[str, set[str]] = defaultdict(set)
    for name in found:
        beginning, number = names.numbered(name)
        if number:
            numbers[beginning].add(number)
    for beginning, different in numbers.items():
        if len(different) > limit:
            yield f"{beginning}#", len(different)


def _finding(rule: rules.Rule, subject: str, evidence: str, stats: SubjectStats) -> Finding:
    source = stats.subject.source
    return Finding(
        rule=rule,
        subject=rules.from_source(subject, source),
        evidence=(evidence,),
        sources=(source,),
    )
