"""Commands in the wire format of Redis (RESP).

Packing them here allows to cache the constant part of an append.

https://valkey.io/topics/protocol/
"""

from __future__ import annotations

from collections.abc import Iterable

Argument = str | bytes | int | float


def packed(arguments: Iterable[Argument]) -> bytes:
    """Return the packed arguments of a command, without their number; see :func:`command`."""
    parts = [
        argument if isinstance(argument, bytes) else str(argument).encode()
        for argument in arguments
    ]
    return b"".join([b"$%d\r\n%s\r\n" % (len(part), part) for part in parts])


def command(count: int, *arguments: bytes) -> bytes:
    """Return a command of ``count`` arguments that are packed already."""
    return b"*%d\r\n%s" % (count, b"".join(arguments))
