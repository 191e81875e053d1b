"""Rules about names: one fact under several names. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations

from . import names, rules
from .catalog import Attribute, Catalog
from .rules import Finding

#: A misspelt name is rare beside the right one: at most this share of it.
TYPO_SHARE = 0.2
#: Two events with this share of common attributes have the same form.
SAME_FORM = 0.6
#: A share of jobs that may have both of two names by mistake.
FEW = 0.01
#: Similar names that are compared with each other, the most frequent ones.
MAX_COMPARED = 20


@dataclass(slots=True)
class _Name:
    """One name of an event, or of an attribute of an event."""

    name: str
    count: int = 0
    sources: dict[str, int] = field(default_factory=dict)
    paths: set[str] = field(default_factory=set)
    first_seen: float = float("inf")

    def add(self, source: str, count: int, first_seen: float) -> None:
        self.count += count
        self.sources[source] = self.sources.get(source, 0) + count
        self.first_seen = min(self.first_seen, first_seen)

    def __str__(self) -> str:
        sources = ", ".join(sorted(source or "no source" for source in self.sources))
        return f"{self.count:,} × {self.name} from {sources}"


def name_findings(catalog: Catalog) -> Iterator[Finding]:
    """Yield findings about names of events and attributes."""
    yield from _event_findings(catalog)
    attributes = _attributes(catalog)
    for (operation, name), (jobs, found) in attributes.items():
        yield from _attribute_findings(name or operation, jobs, found)
    yield from _spelled_elsewhere([found for _, found in attributes.values()])


# -- events


def _event_findings(catalog: Catalog) -> Iterator[Finding]:
    events: dict[str, _Name] = {}
    for subject, stats in catalog.subjects.items():
        if subject.name and subject.operation.endswith(".event"):
            event = events.setdefault(subject.name, _Name(subject.name))
            event.add(subject.source, stats.jobs, stats.first_seen)
            event.paths.update(path for path in stats.attributes if "[]" not in path)
    spelled: set[str] = set()
    for group in _groups(events.values(), _are_one_event):
        spelled.update(each.name for each in group)
        yield _finding(rules.EVENT_SPELLINGS, group[0].name, group)
    rivals: dict[int, list[_Name]] = defaultdict(list)
    for event in events.values():
        number = names.event_group(event.name)
        if number is not None:
            rivals[number].append(event)
    for group in rivals.values():
        group.sort(key=lambda each: -each.count)
        # One that tells two of them apart does not make a third one right.
        is_rival = any(_rival([*pair]) for pair in combinations(group, 2))
        if is_rival and not {each.name for each in group} <= spelled:
            yield _finding(rules.RIVAL_EVENTS, group[0].name, group)


def _are_one_event(one: _Name, other: _Name) -> bool:
    if names.same_words(one.name, other.name):
        return True
    return (
        names.is_typo(one.name, other.name)
        and _is_rare(one.count, other.count)
        and _have_same_form(one.paths, other.paths)
    )


def _have_same_form(one: set[str], other: set[str]) -> bool:
    return not (one or other) or len(one & other) >= SAME_FORM * len(one | other)


def _rival(group: list[_Name]) -> bool:
    """Whether no application sends two of the names: one that does tells them apart."""
    sources = [source for each in group for source in each.sources]
    return len(sources) == len(set(sources))


# -- attributes


def _attributes(catalog: Catalog) -> dict[tuple[str, str], tuple[int, dict[str, _Name]]]:
    found: dict[tuple[str, str], tuple[int, dict[str, _Name]]] = {}
    for subject, stats in catalog.subjects.items():
        key = (subject.operation, subject.name)
        jobs, attributes = found.get(key, (0, {}))
        found[key] = (jobs + stats.jobs, attributes)
        for attribute in stats.attributes.values():
            name = attributes.setdefault(attribute.path, _Name(attribute.path))
            name.add(subject.source, _jobs_with(attribute), attribute.first_seen)
    return found


def _jobs_with(attribute: Attribute) -> int:
    """Return how many jobs have an attribute, at least: one list's items may be of two types."""
    if "[]" in attribute.path:
        return max(each.count for each in attribute.types)
    return attribute.count


def _attribute_findings(of: str, jobs: int, found: dict[str, _Name]) -> Iterator[Finding]:
    by_parent: dict[str, list[_Name]] = defaultdict(list)
    for each in found.values():
        parent, _, leaf = each.name.rpartition(".")
        # The items of a list have the name of the list.
        if not leaf.endswith("[]"):
            by_parent[parent].append(each)
    for parent, children in by_parent.items():
        limit = found[parent].count if parent in found else jobs

        def are_one(one: _Name, other: _Name, limit: int = limit) -> bool:
            a, b = _leaf(one), _leaf(other)
            if one.count + other.count > limit * (1 + FEW):
                # Many jobs have both: they mean two things.
                return False
            return names.same_words(a, b) or (
                names.is_typo(a, b) and _is_rare(one.count, other.count)
            )

        for group in _groups(children, are_one):
            yield _finding(rules.SPELLINGS, f"{of}.{group[0].name}", group)
        for group in _synonyms(children, limit):
            yield _finding(rules.SYNONYMS, f"{of}.{group[0].name}", group)


def _spelled_elsewhere(subjects: Iterable[dict[str, _Name]]) -> Iterator[Finding]:
    """Yield attributes that are spelled differently in different events, and never in one."""
    spellings: dict[str, dict[str, _Name]] = defaultdict(dict)
    together: set[str] = set()
    for found in subjects:
        here = Counter("".join(names.words(path)) for path in found if not set(".[") & set(path))
        together.update(words for words, number in here.items() if number > 1)
        for path, each in found.items():
            if not set(".[") & set(path):
                known = spellings["".join(names.words(path))].setdefault(path, _Name(path))
                for source, count in each.sources.items():
                    known.add(source, count, each.first_seen)
    for words, group in spellings.items():
        if words and len(group) > 1 and words not in together:
            ordered = sorted(group.values(), key=lambda each: (-each.count, each.name))
            yield _finding(rules.SPELLINGS, ordered[0].name, ordered)


def _leaf(name: _Name) -> str:
    return name.name.rpartition(".")[2]


def _synonyms(children: Iterable[_Name], limit: int) -> Iterator[list[_Name]]:
    """Yield synonyms that different applications use, and never one of them two."""
    groups: dict[int, list[_Name]] = defaultdict(list)
    for each in children:
        number = names.attribute_group(_leaf(each))
        if number is not None:
            groups[number].append(each)
    for group in groups.values():
        group.sort(key=lambda each: -each.count)
        together = sum(each.count for each in group)
        stems = {names.stem(_leaf(each)) for each in group}
        if len(stems) > 1 and together <= limit and _rival(group):
            yield group


# -- both


def _is_rare(one: int, other: int) -> bool:
    return min(one, other) <= TYPO_SHARE * max(one, other)


def _groups(found: Iterable[_Name], are_one: object) -> Iterator[list[_Name]]:
    """Yield groups of names that are one, each with the most frequent name first."""
    assert callable(are_one)
    ordered = sorted(found, key=lambda each: (-each.count, each.name))
    leader: dict[str, str] = {}
    for one, other in _candidates(ordered):
        if are_one(one, other):
            leader.setdefault(other.name, leader.get(one.name, one.name))
    groups: dict[str, list[_Name]] = defaultdict(list)
    for each in ordered:
        groups[leader.get(each.name, each.name)].append(each)
    yield from (group for group in groups.values() if len(group) > 1)


def _candidates(ordered: list[_Name]) -> Iterator[tuple[_Name, _Name]]:
    """Yield pairs that are worth a comparison: with the same words, or but for one letter."""
    similar: dict[str, list[_Name]] = defaultdict(list)
    for each in ordered:
        leaf = _leaf(each)
        without_one = (
            leaf[:index] + leaf[index + 1 :] for index, char in enumerate(leaf) if char.isalpha()
        )
        for form in {leaf, names.stem(leaf), "".join(names.words(leaf)), *without_one}:
            if len(similar[form]) < MAX_COMPARED:
                similar[form].append(each)
    for group in similar.values():
        yield from combinations(group, 2)


def _finding(rule: rules.Rule, subject: str, group: list[_Name]) -> Finding:
    return Finding(
        rule=rule,
        subject=subject,
        evidence=tuple(str(each) for each in group),
        sources=tuple(sorted({source for each in group for source in each.sources})),
        since=max(each.first_seen for each in group),
    )
