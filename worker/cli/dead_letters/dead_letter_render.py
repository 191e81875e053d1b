"""Dead letters in words, and as JSON."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from trackrelay.worker.cli.common.humanize import ago, count, listed
from trackrelay.worker.cli.common.output import moment
from trackrelay.worker.dead_letters.eligibility import Refused
from trackrelay.worker.storage.dead_letter_queries import Count, DeadLetter

#: What was found in place of a document is shown to people up to here.
_MAX_SHOWN = 10_000


def document_of(letter: DeadLetter) -> Any:
    """Return the letter's document; None if it has none that can be decoded."""
    return letter.document


def found_of(letter: DeadLetter) -> str:
    """Return what was found in place of a document, cut where nobody reads on."""
    found = letter.found or ""
    if len(found) <= _MAX_SHOWN:
        return found
    return f"{found[:_MAX_SHOWN]}… ({len(found):,} characters; `dead-letters show --json` has all of them)"


def why(letter: DeadLetter) -> str:
    """What it died of, in a line: ``rejected: attributes.plan: property value …``."""
    said = [
        letter.field if letter.field and letter.field not in (letter.error or "") else None,
        letter.error,
    ]
    return ": ".join([letter.reason, *filter(None, said)])


def clock(at: float) -> str:
    """A moment."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def when(at: float) -> str:
    """A moment, and how long ago it was."""
    return f"{clock(at)} ({ago(time.time() - at)})"


def summary(counts: Iterable[Count]) -> str:
    """``12 open (9 rejected, 3 expired) and 2 discarded (2 rejected)``."""
    by_state: dict[str, Counter[str]] = {}
    for each in counts:
        by_state.setdefault(each.state, Counter())[each.reason] += each.letters
    parts = []
    for state, reasons in by_state.items():
        detail = ", ".join(f"{number:,} {reason}" for reason, number in reasons.most_common())
        parts.append(f"{reasons.total():,} {state} ({detail})")
    return listed(parts)


def by_operation(counts: Counter[str]) -> str:
    """``900 person.event, 12 person.identify``."""
    return listed([f"{number:,} {operation}" for operation, number in counts.most_common()])


def campaigns(younger: int, older: int) -> str:
    """What the replayed events may set off."""
    parts = []
    if younger:
        parts.append(f"{count(younger, 'event')} of the last 72 hours may trigger campaigns")
    if older:
        parts.append(f"{count(older, 'event')} older than 72 hours will not")
    return "; ".join(parts)


def as_json(letter: DeadLetter) -> dict[str, Any]:
    """Everything that is known of a letter, as a JSON document has it."""
    return {
        "id": letter.id,
        "state": letter.state,
        "reason": letter.reason,
        "error": letter.error,
        "field": letter.field,
        "status": letter.status,
        "operation": letter.operation,
        "keys": list(letter.keys),
        "source": letter.source,
        "idempotency_key": letter.idempotency_key,
        "attempts": letter.attempts,
        "enqueued_at": moment(letter.enqueued_at),
        "died_at": moment(letter.died_at),
        "updated_at": moment(letter.updated_at),
        "document": document_of(letter),
        "raw": letter.found,
        "history": [_event(event) for event in letter.history],
    }


def _event(event: dict[str, Any]) -> dict[str, Any]:
    times = {name: moment(event[name]) for name in ("at", "died_at") if name in event}
    return event | times


def refused_as_json(refused: Refused) -> dict[str, Any]:
    """A refusal, as a JSON document has it."""
    later = refused.later
    return {
        "id": refused.id,
        "operation": refused.operation,
        "kind": refused.kind,
        "why": refused.why,
        "because_of": later
        and {
            "id": later.id,
            "operation": later.operation,
            "enqueued_at": moment(later.enqueued_at),
            "delivered_at": moment(later.delivered_at),
        },
    }
