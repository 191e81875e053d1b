"""When a comparison becomes a verdict: only after several tries, and not while jobs wait. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import msgspec

from trackrelay.worker.reasons import VerdictKind
from trackrelay.worker.storage.sent_subjects import Item, Subject

from .comparison import Finding

#: When an item is compared after its delivery, in multiples of TRACKRELAY_VERIFY_AFTER. Customer.io
#: processes what it accepted some time later.
TRIES_AFTER = (1.0, 1.5, 2.5, 4.5)
#: How long a subject waits before it is looked at again while jobs of it wait, in the same unit.
HELD_AFTER = 0.25
#: A subject that was compared is not compared again at once.
MIN_PAUSE_S = 1.0


def due_names(subject: Subject, now: float, after_s: float) -> list[str]:
    """Return the items without a verdict whose time has come."""
    return [
        name
        for name, item in subject.items.items()
        if not item.is_done and due_at(item, after_s) <= now
    ]


def due_at(item: Item, after_s: float) -> float:
    """Return when an item is compared next."""
    return item.delivered_at + after_s * TRIES_AFTER[min(item.tries, len(TRIES_AFTER) - 1)]


def is_last_try(item: Item) -> bool:
    """Whether the next comparison that does not find the item is the last one."""
    return item.tries + 1 >= len(TRIES_AFTER)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else is known when findings are judged."""

    #: By the database's clock, in unix seconds.
    now: float
    #: TRACKRELAY_VERIFY_AFTER.
    after_s: float
    #: Whether jobs of the subject wait, or are being delivered.
    jobs_wait: bool = False
    #: Items that a later job explains: one under another name of the same person, for example.
    overtaken: frozenset[str] = frozenset()
    #: Whether one more comparison that does not find the item is enough.
    is_last: Callable[[Item], bool] = is_last_try


@dataclass(slots=True)
class Judgement:
    """What becomes of a subject after a comparison."""

    #: As it is to be stored.
    subject: Subject
    #: Items that are right.
    verified: list[str] = field(default_factory=list)
    #: Items that get a verdict.
    final: list[Finding] = field(default_factory=list)
    #: Items that are not right yet, and are compared again.
    pending: list[Finding] = field(default_factory=list)
    #: Items that say nothing any more.
    moot: list[str] = field(default_factory=list)


def judge(
    compared: Subject,
    current: Subject,
    findings: Iterable[Finding],
    circumstances: Circumstances,
) -> Judgement:
    """Return what findings mean for a subject.

    Args:
        compared: the subject when the App API was asked.
        current: the subject now. An item that was written meanwhile is not judged.
        findings: of the comparison.
        circumstances: what else is known.
    """
    items = dict(current.items)
    result = Judgement(current)
    for finding in findings:
        item, before = items.get(finding.item), compared.items[finding.item]
        if item is None or (item.job, item.delivered_at) != (before.job, before.delivered_at):
            continue
        is_held = circumstances.jobs_wait
        if finding.verdict is VerdictKind.VERIFIED:
            result.verified.append(finding.item)
            is_done = True
        elif finding.verdict is None or finding.item in circumstances.overtaken:
            result.moot.append(finding.item)
            is_done = True
        elif not is_held and circumstances.is_last(item):
            result.final.append(finding)
            is_done = True
        else:
            result.pending.append(finding)
            is_done = False
        tries = item.tries + (0 if is_held or is_done else 1)
        items[finding.item] = msgspec.structs.replace(item, tries=tries, is_done=is_done)
    result.subject = msgspec.structs.replace(
        current, items=items, tries=0, due_at=_next_due(items, result.pending, circumstances)
    )
    return result


def _next_due(
    items: dict[str, Item], pending: Collection[Finding], circumstances: Circumstances
) -> float | None:
    open_items = [item for item in items.values() if not item.is_done]
    if not open_items:
        return None
    due = min(due_at(item, circumstances.after_s) for item in open_items)
    if not pending:
        return due
    pause_s = circumstances.after_s * HELD_AFTER if circumstances.jobs_wait else 0.0
    return max(due, circumstances.now + max(pause_s, min(MIN_PAUSE_S, circumstances.after_s)))
