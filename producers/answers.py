"""Redis' wire format (RESP), as much of it as a small answer takes.

https://valkey.io/topics/protocol/
"""

from __future__ import annotations

from typing import Any

from redis.exceptions import BusyLoadingError, InvalidResponse, NoScriptError, OutOfMemoryError, ResponseError

#: Errors that a caller tells apart, by the word they begin with.
_ERRORS = {b"NOSCRIPT": NoScriptError, b"OOM": OutOfMemoryError, b"LOADING": BusyLoadingError}


def parse(data: bytes, start: int = 0) -> tuple[Any, int] | None:
    """The answer that begins at ``start`` and where it ends; None if it is not whole yet.

    An error is returned, not raised, as one of redis-py's exceptions.

    Raises:
        InvalidResponse: it is nothing that a command of ours is answered with.
    """
    end = data.find(b"\r\n", start)
    if end < 0:
        return None
    line, rest = data[start + 1 : end], end + 2
    match data[start : start + 1]:
        case b"+":
            return line, rest
        case b":":
            return _number(line), rest
        case b"-":
            word, _, _ = line.partition(b" ")
            return _ERRORS.get(word, ResponseError)(line.decode(errors="replace")), rest
        case b"$":
            return _bulk(data, rest, _number(line))
        case b"*":
            return _array(data, rest, _number(line))
    raise InvalidResponse(f"Redis answered with {data[start : start + 20]!r}")


def _number(line: bytes) -> int:
    try:
        return int(line)
    except ValueError:
        raise InvalidResponse(f"Redis answered with {line[:20]!r} where a number belongs") from None


def _bulk(data: bytes, start: int, length: int) -> tuple[Any, int] | None:
    if length < 0:
        return None, start
    end = start + length
    return (data[start:end], end + 2) if len(data) >= end + 2 else None


def _array(data: bytes, start: int, length: int) -> tuple[Any, int] | None:
    values = []
    for _ in range(length):
        found = parse(data, start)
        if found is None:
            return None
        value, start = found
        values.append(value)
    return values, start
