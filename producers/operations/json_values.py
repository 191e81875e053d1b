"""Decoding of untrusted JSON: within limits, and with one error for all problems."""

from __future__ import annotations

import re
from typing import Any

import msgspec

#: How deep lists and objects may be nested. Code that walks a document recurses, and Python's stack
#: is short.
MAX_DEPTH = 200

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NOT_A_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


class NotJsonError(ValueError):
    """The bytes are no JSON, or exceed a limit. The message quotes none of them."""


def decode_json(data: bytes | str, *, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value in ``data``.

    Raises:
        NotJsonError: ``data`` is no JSON, or is nested deeper than ``max_depth``. Nothing else is
            raised.
    """
    try:
        raw = data.encode() if isinstance(data, str) else data
        if is_deeper(raw, max_depth):
            raise NotJsonError(f"lists and objects are nested deeper than {max_depth} levels")
        return msgspec.json.decode(raw)
    except RecursionError:
        raise NotJsonError("lists and objects are nested too deep") from None
    except UnicodeError:
        raise NotJsonError("the text is not valid UTF-8") from None
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        if isinstance(error, NotJsonError):
            raise
        raise NotJsonError(str(error)[:200]) from None


def is_deeper(data: bytes, depth: int) -> bool:
    """Return whether lists and objects in JSON text are nested deeper than ``depth``.

    Malformed text may count as deep.
    """
    # Counting is fast, and few documents have enough brackets to need the search below.
    if len(data) <= depth or data.count(b"[") + data.count(b"{") <= depth:
        return False
    left = _STRING.sub(b"", data).translate(_ONE_KIND, _NOT_A_BRACKET)
    deeper = b"[" * (depth + 1)
    for _ in range(depth):
        # Each pass removes the innermost level.
        fewer = left.replace(b"[]", b"")
        if len(fewer) == len(left) or deeper in fewer:
            break
        left = fewer
    return bool(left)
