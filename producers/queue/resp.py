"""Commands in Redis' wire format (RESP), packed by ourselves: the greater part of an append is the same every time.

https://valkey.io/topics/protocol/
"""

from __future__ import annotations

from collections.abc import Iterable

Argument = str | bytes | int | float


def packed(arguments: Iterable[Argument]) -> bytes:
    """The arguments of a command; before them goes their number, see :func:`command`."""
    parts = [
        argument if isinstance(argument, bytes) else str(argument).encode()
        for argument in arguments
    ]
    return b"".join([b"$%d\r\n%s\r\n" % (len(part), part) for part in parts])


def command(count: int, *arguments: bytes) -> bytes:
    """A whole command of ``count`` arguments, which are packed already."""
    return b"*%d\r\n%s" % (count, b"".join(arguments))
