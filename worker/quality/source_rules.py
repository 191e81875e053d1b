"""Rules about applications: who writes what, and who invents names. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from . import names, rules
from .catalog import Catalog
from .rules import Finding

#: Different names of events, or of attributes of one event, that no team has on purpose.
MAX_EVENTS, MAX_ATTRIBUTES = 300, 300
_IDENTIFIES = ("person.identify", "object.identify")


def source_findings(catalog: Catalog, since: float = 0.0) -> Iterator[Finding]:
    """Yield findings about writers that were seen after ``since`` (unix seconds)."""
    yield from _shared(catalog, since)
    yield from _invented(catalog)


def _shared(catalog: Catalog, since: float) -> Iterator[Finding]:
    writers: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for subject, stats in catalog.subjects.items():
        if subject.operation in _IDENTIFIES:
            for attribute in stats.attributes.values():
                if attribute.last_seen >= since and "." not in attribute.path:
                    by_source = writers[subject.operation, attribute.path]
                    by_source[subject.source] = attribute.count
    for (operation, path), by_source in writers.items():
        if len(by_source) > 1:
            yield Finding(
                rule=_shared_rule(path),
                subject=f"{operation}.{path}",
                evidence=tuple(
                    f"{count:,} × from {source or 'no source'}"
                    for source, count in sorted(by_source.items(), key=lambda each: -each[1])
                ),
                sources=tuple(sorted(by_source)),
            )


def _shared_rule(path: str) -> rules.Rule:
    if names.is_consent(path):
        return rules.SHARED_CONSENT
    return rules.SHARED_STATE if names.is_state(path) else rules.SHARED_ATTRIBUTE


def _invented(catalog: Catalog) -> Iterator[Finding]:
    events: dict[str, set[str]] = defaultdict(set)
    for subject, stats in catalog.subjects.items():
        events[subject.source].add(subject.name)
        if len(stats.attributes) > MAX_ATTRIBUTES:
            yield Finding(
                rule=rules.INVENTED_NAMES,
                subject=subject.name or subject.operation,
                evidence=(f"{len(stats.attributes):,} different attributes",),
                sources=(subject.source,),
            )
    for source in sorted({*events, *catalog.overflow}):
        number, overflow = len(events[source]), catalog.overflow.get(source, 0)
        if number > MAX_EVENTS or overflow:
            evidence = [f"{number:,} different events are in the catalog"]
            if overflow:
                evidence.append(f"{overflow:,} observations found no room")
            yield Finding(
                rule=rules.INVENTED_NAMES,
                subject=f"events of {source or 'no source'}",
                evidence=tuple(evidence),
                sources=(source,),
            )
