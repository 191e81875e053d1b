"""Rules about nulls: a value that should be known, and is not. Pure.

An empty string counts as null: it says as little.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from . import names, rules
from .catalog import Attribute, Catalog, SubjectStats
from .presence_rules import attribute_finding
from .rules import Finding
from .shapes import ValueType

_NOTHING = frozenset([ValueType.NULL, ValueType.EMPTY])
#: Nulls that are no accident of one request, and values before they say anything.
MIN_NULLS, MIN_VALUES = 3, 100
#: The share of nulls above which a fact of an event, or of a person, is optional.
MAX_NULLS, MAX_NULLS_OF_PEOPLE = 0.5, 0.2
#: Values in a row without a null, then nulls, and the chance of that.
MIN_BEFORE, MIN_AFTER, MAX_CHANCE = 200, 30, 1e-9


def null_findings(catalog: Catalog, since: float = 0.0) -> Iterator[Finding]:
    """Yield findings about nulls that were seen after ``since`` (unix seconds)."""
    known = _always_known(catalog)
    for subject, stats in catalog.subjects.items():
        for attribute in stats.attributes.values():
            nulls = [each for each in attribute.types if each.type in _NOTHING]
            if not nulls or max(each.last_seen for each in nulls) < since:
                continue
            others = known[*subject[1:], attribute.path] - {subject.source}
            if _is_fact(stats, attribute, is_known_elsewhere=bool(others)):
                yield from _null_now_and_then(stats, attribute)
            elif not set(".[") & set(attribute.path):
                yield from _null_since(stats, attribute)


def _nulls(attribute: Attribute) -> int:
    return sum(each.count for each in attribute.types if each.type in _NOTHING)


def _always_known(catalog: Catalog) -> defaultdict[tuple[str, ...], set[str]]:
    """Return by operation, event and path: the applications that send it, and never a null."""
    known: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for subject, stats in catalog.subjects.items():
        for attribute in stats.attributes.values():
            if attribute.count >= MIN_BEFORE and not _nulls(attribute):
                known[*subject[1:], attribute.path].add(subject.source)
    return known


def _is_fact(stats: SubjectStats, attribute: Attribute, *, is_known_elsewhere: bool) -> bool:
    """Whether an attribute has a value by nature, and may be missing only for some."""
    share = _nulls(attribute) / attribute.count
    if stats.subject.operation == "person.identify":
        # Without an order there is no last one.
        is_state = names.is_state(attribute.path)
        is_one = names.must_have(attribute.path) is not None and not is_state
        return is_one and share <= MAX_NULLS_OF_PEOPLE
    is_decisive = names.is_decisive(stats.subject.name)
    is_one = names.fact(attribute.path) is not None and (is_decisive or is_known_elsewhere)
    return is_one and share <= MAX_NULLS


def _null_now_and_then(stats: SubjectStats, attribute: Attribute) -> Iterator[Finding]:
    nulls = _nulls(attribute)
    if nulls >= MIN_NULLS and attribute.count >= MIN_VALUES:
        evidence = f"it is null or empty in {nulls:,} of {attribute.count:,} observed jobs"
        yield attribute_finding(rules.NULL_FACT, stats, attribute, evidence)


def _null_since(stats: SubjectStats, attribute: Attribute) -> Iterator[Finding]:
    """Yield an attribute that began to be null, as none does by chance."""
    nulls = _nulls(attribute)
    first = min(each.first_at for each in attribute.types if each.type in _NOTHING)
    lifetime = stats.jobs - attribute.first_at
    # Positions count jobs; not every one of them has the attribute.
    before = round(attribute.count * (first - attribute.first_at) / lifetime) if lifetime else 0
    after = attribute.count - before
    if before < MIN_BEFORE or nulls < MIN_AFTER or not after:
        return
    share = min(1.0, nulls / after)
    if (1 - share) ** before < MAX_CHANCE:
        since = min(each.first_seen for each in attribute.types if each.type in _NOTHING)
        evidence = f"none of {before:,} was null or empty, and {share:.0%} of the next {after:,}"
        yield attribute_finding(rules.NULL_NOW, stats, attribute, evidence, since)
