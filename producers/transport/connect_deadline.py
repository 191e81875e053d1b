"""Connect within a deadline that includes resolving the name and trying every address."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any

#: As ``socket.getaddrinfo`` gives it: family, type, protocol, canonical name, address.
_Address = tuple[Any, Any, int, str, Any]


def connect(
    host: str,
    port: int,
    *,
    until: float,
    timeout_s: float,
    options: Iterable[tuple[int, int, int | bytes]] | None = None,
    source_address: tuple[str, int] | None = None,
) -> socket.socket:
    """Connect to the first of the host's addresses that accepts.

    Args:
        host: a name or an address.
        port: a number.
        until: when to give up, by ``time.monotonic()``. An address that does not answer uses only
            its share of the time.
        timeout_s: how long each wait on the socket may take afterwards.
        options: as for ``socket.setsockopt``.
        source_address: where to connect from.

    Raises:
        OSError: no address accepts. A ``TimeoutError`` if none does in time.
    """
    addresses = _resolve(host.strip("[]"), port, until)
    last_error: OSError = TimeoutError(f"no address of {host} accepts in time")
    for number, address in enumerate(addresses):
        left_s = until - time.monotonic()
        if left_s <= 0:
            break
        try:
            sock = _connect_to(
                address, left_s / (len(addresses) - number), options or (), source_address
            )
        except OSError as error:
            last_error = error
        else:
            sock.settimeout(timeout_s)
            return sock
    raise last_error


def _connect_to(
    address: _Address,
    timeout_s: float,
    options: Iterable[tuple[int, int, int | bytes]],
    source_address: tuple[str, int] | None,
) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        for option in options:
            sock.setsockopt(*option)
        sock.settimeout(timeout_s)
        if source_address:
            sock.bind(source_address)
        sock.connect(where)
    except BaseException:
        sock.close()
        raise
    return sock


def _resolve(host: str, port: int, until: float) -> list[_Address]:
    # The system's resolver has no deadline. It stays behind in its thread if it takes too long.
    answer: queue.SimpleQueue[list[_Address] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except Exception as error:
            answer.put(error)

    threading.Thread(target=ask, name="trackrelay-resolve", daemon=True).start()
    found: list[_Address] | Exception
    try:
        found = answer.get(timeout=max(0.0, until - time.monotonic()))
    except queue.Empty:
        found = TimeoutError(f"the address of {host} was not found in time")
    if isinstance(found, Exception):
        raise found
    return found
