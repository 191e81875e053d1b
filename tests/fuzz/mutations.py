"""Random bytes and JSON that are nearly right: wholly random ones fail at the first character."""

from __future__ import annotations

import json
import random
import reprlib
from typing import Any

#: What is put into a document: whatever some parser, or some store, does not take.
TOKENS = (
    b"\n", b"\t", b"\x00", b"\x01", b"\x1f", b"\x7f", b"\\x", b"\\u12", b"\\ud800", b"\\udc00",
    b"\\u0000", b"\\", b'"', b"-", b"+",
    b".", b"e", b"0", b"9" * 400, b"9" * 5_000, b"1e400", b"1e308", b"-0", b"00", b"\xff",
    b"\xc3\xa9", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
    b"\xe2\x80\xa8", b" ", b",", b":", b"[", b"]", b"{", b"}", b"[[[[", b"}}", b"NaN", b"Infinity",
    b"null", b"true", b'""', b"[]", b"{}", b"\xef\xbb\xbf", b'"a":1,', b"'", b"/**/", b"[" * 250,
    b"[" * 1_200, b'{"a":' * 300, b"\\u001b[31m",
)  # fmt: skip
TEXTS = (
    "", "a", "id:h", "x" * 150, "\x00", "\x1b[31m", "<script>", "é", "\U0001f600", "\ud800",
    "9" * 30, "..", "%2e", "a\r\nb", "null", "True",
    "2026-01-01", "ada@example.com", "+4912345", "_update", "person.event", "x" * 3_000, "\u202e",
)  # fmt: skip
NUMBERS = (
    0,
    1,
    -1,
    2**31,
    2**53,
    2**63,
    2**64,
    -(2**63) - 1,
    10**30,
    10**400,
    1.5,
    1e300,
    5e-324,
    -0.0,
    1_700_000_000,
    4_102_444_800_000,
)

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 300


def shown(case: Any) -> str:
    """Return the repr of a case, of bounded length."""
    return _short.repr(case)[:1_500]


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Return ``data`` with one or a few things changed."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        place, kind = rng.randrange(len(changed) + 1), rng.random()
        if kind < 0.5:
            changed[place:place] = rng.choice(TOKENS)
        elif kind < 0.65:
            del changed[place : place + rng.choice((1, 1, 2, 10, 100))]
        elif kind < 0.8 and place < len(changed):
            changed[place] = rng.randrange(256)
        elif kind < 0.9:
            start = rng.randrange(len(changed) + 1)
            changed[place:place] = changed[start : start + rng.choice((1, 5, 50))]
        else:
            del changed[place:]
    return bytes(changed)


def value(rng: random.Random, depth: int = 3) -> Any:
    """Return any value of JSON, and some that JSON does not have."""
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(TEXTS)
    if kind < 0.6:
        return rng.choice(NUMBERS)
    if kind < 0.75 or depth == 0:
        return rng.choice((None, True, False))
    if kind < 0.87:
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {rng.choice(TEXTS): value(rng, depth - 1) for _ in range(rng.randrange(4))}


def encoded(anything: Any) -> bytes:
    """Return JSON, with half characters escaped."""
    return json.dumps(anything).encode()
