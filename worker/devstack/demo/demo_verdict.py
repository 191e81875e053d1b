"""The check of the demo: did every job arrive exactly once, and in order for each key?

It compares values only: what was enqueued and what arrived at the sandbox.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trackrelay.sandbox.client import Effect

#: The content of one operation; equal operations have equal fingerprints.
Fingerprint = tuple[str, ...]

_ANONYMOUS = {"anonymous": "person"}
_SEGMENT = {"add": "add_customers", "remove": "remove_customers"}
_CONTENT = ("attributes", "device", "cio_relationships")


def of_document(document: Mapping[str, Any], keys: tuple[str, ...]) -> Fingerprint:
    """Return the fingerprint of an enqueued operation."""
    type, action = str(document["type"]), str(document["action"])
    identifiers = document.get("identifiers", {})
    match type:
        case "segment":
            return (type, _SEGMENT[action], str(identifiers["segment_id"]), *keys)
        case "form":
            content = {**document.get("attributes", {}), **document["person"]}
            form_id = str(identifiers["form_id"])
            return (type, action, form_id, *keys, _canonical({"attributes": content}))
        case "delivery":
            return (type, action, str(document.get("name", "")), *keys)
    content = {name: document[name] for name in ("name", "id", *_CONTENT) if document.get(name)}
    return (_ANONYMOUS.get(type, type), action, *keys, _canonical(content))


def of_effect(effect: Effect) -> Iterator[Fingerprint]:
    """Yield the fingerprints of an effect: a change of a segment has one for each person."""
    type, action, keys = effect["type"], effect["action"], effect["keys"]
    name = effect["name"] or ""
    match type:
        case "segment":
            yield from ((type, action, name, key) for key in keys)
        case "form":
            yield (type, action, name, *keys, _canonical({"attributes": effect["attributes"]}))
        case "delivery":
            yield (type, action, name, *keys)
        case _:
            content = {
                name: value for name in ("name", "id", *_CONTENT) if (value := effect.get(name))
            }
            yield (type, action, *keys, _canonical(content))


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Expected:
    """A job that must arrive."""

    id: str
    fingerprint: Fingerprint
    keys: tuple[str, ...]
    #: Order holds within a lane only.
    lane: str


@dataclass(slots=True)
class Verdict:
    """The result of the check; empty lists mean that all is well."""

    #: How many jobs arrived, once or more often.
    delivered: int = 0
    #: Ids of jobs that did not arrive.
    lost: list[str] = field(default_factory=list)
    #: What arrived more often than it was enqueued.
    duplicates: list[Fingerprint] = field(default_factory=list)
    #: What arrived without being enqueued.
    unexpected: list[Fingerprint] = field(default_factory=list)
    #: Ids of jobs that arrived after a later job of the same key.
    out_of_order: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether everything arrived exactly once and in order, and nothing else arrived."""
        return not (self.lost or self.duplicates or self.unexpected or self.out_of_order)


def judge(expected: Sequence[Expected], arrivals: Iterable[Fingerprint]) -> Verdict:
    """Compare what must arrive with what arrived.

    Args:
        expected: In the order that each lane must keep for each key.
        arrivals: In the order of arrival.
    """
    verdict = Verdict()
    missing: dict[Fingerprint, deque[int]] = defaultdict(deque)
    for index, job in enumerate(expected):
        missing[job.fingerprint].append(index)
    latest: dict[tuple[str, str], int] = {}
    for fingerprint in arrivals:
        indexes = missing.get(fingerprint)
        if not indexes:
            # An empty queue: all jobs with this fingerprint have arrived already.
            (verdict.unexpected if indexes is None else verdict.duplicates).append(fingerprint)
            continue
        index = indexes.popleft()
        verdict.delivered += 1
        _check_order(verdict, expected[index], index, latest)
    verdict.lost = [expected[index].id for indexes in missing.values() for index in indexes]
    return verdict


def _check_order(
    verdict: Verdict, job: Expected, index: int, latest: dict[tuple[str, str], int]
) -> None:
    places = [(key, job.lane) for key in job.keys]
    if any(latest.get(place, -1) > index for place in places):
        verdict.out_of_order.append(job.id)
    for place in places:
        latest[place] = max(latest.get(place, -1), index)
