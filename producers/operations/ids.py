"""Job ids: ULIDs, by which Customer.io drops duplicate events."""

from __future__ import annotations

import os
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#: Two letters for ten bits, so that a ULID takes thirteen look-ups.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_LOW_60 = (1 << 60) - 1
_LOW_80 = (1 << 80) - 1
_LETTERS = frozenset(_ALPHABET)

#: The times in derived ids: 2020-01-01 to 2025-01-01 in milliseconds, which is past and plausible.
DERIVED_FROM_MS = 1_577_836_800_000
DERIVED_SPAN_MS = 1_735_689_600_000 - DERIVED_FROM_MS


def new_id() -> str:
    """Return a new ULID.

    The kernel's randomness keeps threads and forked processes from repeating one.
    """
    return _text(time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10), "big"))


def id_for(operation: str, key: str, name: str, idempotency_key: str) -> str:
    """Return the same ULID for the same arguments, so that a repeated call is the same job.

    Ids in ledgers and at Customer.io depend on it: what it returns must never change.

    Args:
        operation: ``type.action``, e.g. ``person.event``.
        key: the ordering key, e.g. ``id:42``.
        name: the name of the event, the id of the segment …, or ``""``.
        idempotency_key: the caller's own name for the call.
    """
    digest = _digest("\0".join((operation, key, name, idempotency_key)))
    return _text(DERIVED_FROM_MS + (digest >> 80) % DERIVED_SPAN_MS, digest & _LOW_80)


def companion_id(event_id: str) -> str:
    """Return the ULID of the identify that travels with an event.

    It has the time of the event's id.
    """
    return _text(milliseconds_of(event_id), _digest(f"companion\0{event_id}") & _LOW_80)


def milliseconds_of(id: str) -> int:
    """Return the time that a ULID carries, in unix milliseconds.

    Raises:
        ValueError: a letter is none of a ULID's.
    """
    milliseconds = 0
    for letter in id[:10]:
        milliseconds = milliseconds << 5 | _ALPHABET.index(letter)
    return milliseconds


def first_id_of(milliseconds: int) -> str:
    """Return the lowest ULID of a time in unix milliseconds."""
    return _text(milliseconds, 0)


def is_ulid(text: str) -> bool:
    """Return whether ``text`` is a ULID in its canonical, upper-case form."""
    return len(text) == 26 and text[0] < "8" and _LETTERS.issuperset(text)


def _digest(text: str) -> int:
    import hashlib  # late: it loads OpenSSL

    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")


def _text(milliseconds: int, randomness: int) -> str:
    ulid = milliseconds << 80 | randomness
    # Shifting two numbers of 60 bits is cheaper than one of 128.
    high, low = ulid >> 60, ulid & _LOW_60
    return (
        f"{_PAIRS[high >> 60]}{_PAIRS[high >> 50 & 1023]}"
        f"{_PAIRS[high >> 40 & 1023]}{_PAIRS[high >> 30 & 1023]}"
        f"{_PAIRS[high >> 20 & 1023]}{_PAIRS[high >> 10 & 1023]}{_PAIRS[high & 1023]}"
        f"{_PAIRS[low >> 50]}{_PAIRS[low >> 40 & 1023]}"
        f"{_PAIRS[low >> 30 & 1023]}{_PAIRS[low >> 20 & 1023]}"
        f"{_PAIRS[low >> 10 & 1023]}{_PAIRS[low & 1023]}"
    )
