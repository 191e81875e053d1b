"""Rules about types: one attribute has values that segments cannot compare. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from . import rules
from .catalog import Catalog, SubjectStats, TypeCount
from .rules import Finding
from .shapes import ValueType

T = ValueType
#: What a type is to a segment. Types that say nothing (null, an empty string) are left out.
_KIND = {
    T.STRING: "text",
    T.DATE_TEXT: "text",
    T.NUMBER_TEXT: "text",
    T.UNIX_TEXT: "text",
    T.BOOLEAN_TEXT: "text",
    T.INTEGER: "number",
    T.NUMBER: "number",
    T.UNIX_S: "number",
    T.UNIX_MS: "number",
    T.BOOLEAN: "boolean",
    T.LIST: "list",
    T.OBJECT: "object",
}
_NESTED = frozenset(["list", "object"])
_TIMES = frozenset([T.UNIX_S, T.UNIX_MS, T.UNIX_TEXT, T.DATE_TEXT])


def is_mixed(types: Iterable[str]) -> bool:
    """Return whether values of these types are several kinds of things to a segment."""
    given = set(types)
    return len({kind for each, kind in _KIND.items() if each in given}) > 1


@dataclass(slots=True)
class _Usage:
    """How one attribute of an event is sent, by all applications together."""

    name: str
    counts: dict[str, int] = field(default_factory=dict)
    sources: dict[str, set[str]] = field(default_factory=dict)
    first_seen: dict[str, float] = field(default_factory=dict)

    def add(self, each: TypeCount, source: str) -> None:
        self.counts[each.type] = self.counts.get(each.type, 0) + each.count
        self.sources.setdefault(each.type, set()).add(source)
        known = self.first_seen.get(each.type, each.first_seen)
        self.first_seen[each.type] = min(known, each.first_seen)

    def finding(self, rule: rules.Rule, types: list[str]) -> Finding:
        """Return a finding about these types, the most frequent first."""
        types.sort(key=lambda each: -self.counts[each])
        evidence = tuple(
            f"{self.counts[each]:,} × {each} from "
            f"{', '.join(sorted(name or 'no source' for name in self.sources[each]))}"
            for each in types
        )
        sources = sorted(set().union(*(self.sources[each] for each in types)))
        since = max(self.first_seen[each] for each in types)
        return Finding(
            rule=rule,
            subject=self.name,
            evidence=evidence,
            sources=tuple(sources),
            since=since,
        )


def type_findings(catalog: Catalog, since: float = 0.0) -> Iterator[Finding]:
    """Yield findings about types that were seen after ``since`` (unix seconds)."""
    for usage in _usages(catalog, since):
        yield from _judge(usage)


def _usages(catalog: Catalog, since: float) -> list[_Usage]:
    usages: dict[tuple[str, str, str], _Usage] = {}
    for stats in catalog.subjects.values():
        for attribute in stats.attributes.values():
            key = (*stats.subject[1:], attribute.path)
            usage = usages.get(key)
            if usage is None:
                usage = usages[key] = _Usage(_name(stats, attribute.path))
            for each in attribute.types:
                if each.last_seen >= since:
                    usage.add(each, stats.subject.source)
    return list(usages.values())


def _name(stats: SubjectStats, path: str) -> str:
    return f"{stats.subject.name or stats.subject.operation}.{path}"


def _judge(usage: _Usage) -> Iterator[Finding]:
    types = [each for each in usage.counts if each in _KIND]
    times = [each for each in types if each in _TIMES]
    kinds = {_KIND[T(each)] for each in types}
    if kinds & _NESTED and len(kinds) > 1:
        yield usage.finding(rules.NESTED, types)
    elif len(times) > 1 and len(times) == len(types):
        yield usage.finding(rules.MIXED_TIMES, times)
    elif len(kinds) > 1:
        yield usage.finding(rules.MIXED_TYPES, types)
