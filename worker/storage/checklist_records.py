"""What people confirmed for the checklist, and what rehearsals proved: until when, and by whom."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from . import state

_NAME = "checklist"
MAX_NOTE = 500


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Somebody's word that an item is done, or not applicable. Times are unix seconds."""

    state: str
    note: str
    by: str
    at: float
    until: float


@dataclass(frozen=True, slots=True)
class RehearsalProof:
    """What the assertions of a test run proved."""

    by: str
    at: float
    until: float
    #: By campaign: how many assertions saw a message, and how many saw it held back by ``unless``.
    campaigns: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    #: By segment: how many assertions saw somebody inside, and somebody outside.
    segments: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChecklistRecord:
    """Everything that was confirmed and is still valid."""

    confirmed: Mapping[str, Confirmation] = field(default_factory=dict)
    rehearsal: RehearsalProof | None = None


def read(connection: sa.Connection, now: float) -> ChecklistRecord:
    """Return what is valid at a time (unix seconds)."""
    stored = _stored(connection)
    confirmed = {name: Confirmation(**each) for name, each in stored["confirmed"].items()}
    proof = RehearsalProof(**stored["rehearsal"]) if stored["rehearsal"] else None
    return ChecklistRecord(
        {name: each for name, each in confirmed.items() if each.until > now},
        proof if proof is not None and proof.until > now else None,
    )


def confirm(
    connection: sa.Connection, item: str, meaning: str, note: str, by: str, valid: timedelta
) -> None:
    """Remember that an item is done (``proved``) or ``not applicable``. The caller commits."""
    now = time.time()
    given = Confirmation(meaning, note[:MAX_NOTE], by, now, now + valid.total_seconds())
    stored = _stored(connection)
    stored["confirmed"][item] = asdict(given)
    state.put(connection, _NAME, stored)


def withdraw(connection: sa.Connection, item: str) -> bool:
    """Forget a confirmation; return whether there was one. The caller commits."""
    stored = _stored(connection)
    found = stored["confirmed"].pop(item, None)
    state.put(connection, _NAME, stored)
    return found is not None


def put_rehearsal(connection: sa.Connection, proof: RehearsalProof) -> None:
    """Remember what a test run proved, in place of an older one. The caller commits."""
    stored = _stored(connection)
    stored["rehearsal"] = asdict(proof)
    state.put(connection, _NAME, stored)


def _stored(connection: sa.Connection) -> dict[str, Any]:
    stored = state.get(connection, _NAME) or {}
    return {"confirmed": stored.get("confirmed") or {}, "rehearsal": stored.get("rehearsal")}
