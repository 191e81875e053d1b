"""Ids: a ULID for each job, by which Customer.io recognises an event it has seen before."""

from __future__ import annotations

import os
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Ten bits to two letters, so that a ULID is thirteen look-ups.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_LOW_60 = (1 << 60) - 1
_LOW_80 = (1 << 80) - 1
_LETTERS = frozenset(_ALPHABET)

#: Derived ids lie from 2020-01-01 up to 2025-01-01, in milliseconds: past for everybody, plausible to Customer.io.
DERIVED_FROM_MS = 1_577_836_800_000
DERIVED_SPAN_MS = 1_735_689_600_000 - DERIVED_FROM_MS


def new_id() -> str:
    """A new ULID. Its randomness comes from the kernel, so neither threads nor forked processes repeat one another."""
    return _text(time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10), "big"))


def id_for(operation: str, key: str, name: str, idempotency_key: str) -> str:
    """The ULID of every call that says the same of itself: a repeated call is the same job.

    Ids in ledgers and at Customer.io depend on it: what it returns must never change.

    Args:
        operation: ``type.action``, e.g. ``person.event``.
        key: whose operation it is, e.g. ``id:42``.
        name: the event's name, the segment's id …, or ``""``.
        idempotency_key: the caller's own name for the call.
    """
    digest = _digest("\0".join((operation, key, name, idempotency_key)))
    return _text(DERIVED_FROM_MS + (digest >> 80) % DERIVED_SPAN_MS, digest & _LOW_80)


def companion_id(event_id: str) -> str:
    """The ULID of the identify that travels with the event ``event_id``: of the same millisecond, always the same."""
    ulid = 0
    for letter in event_id[:10]:
        ulid = ulid << 5 | _ALPHABET.index(letter)
    return _text(ulid, _digest(f"companion\0{event_id}") & _LOW_80)


def is_ulid(text: str) -> bool:
    """Whether ``text`` is a ULID in its canonical, upper-case form."""
    return len(text) == 26 and text[0] < "8" and _LETTERS.issuperset(text)


def _digest(text: str) -> int:
    import hashlib  # brings OpenSSL: not at import

    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")


def _text(milliseconds: int, randomness: int) -> str:
    ulid = milliseconds << 80 | randomness
    # Two halves: shifting 60-bit numbers is cheaper than shifting one of 128.
    high, low = ulid >> 60, ulid & _LOW_60
    return (
        f"{_PAIRS[high >> 60]}{_PAIRS[high >> 50 & 1023]}{_PAIRS[high >> 40 & 1023]}{_PAIRS[high >> 30 & 1023]}"
        f"{_PAIRS[high >> 20 & 1023]}{_PAIRS[high >> 10 & 1023]}{_PAIRS[high & 1023]}"
        f"{_PAIRS[low >> 50]}{_PAIRS[low >> 40 & 1023]}{_PAIRS[low >> 30 & 1023]}{_PAIRS[low >> 20 & 1023]}"
        f"{_PAIRS[low >> 10 & 1023]}{_PAIRS[low & 1023]}"
    )
