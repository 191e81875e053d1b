"""Connecting within a deadline: finding a name's addresses and trying one after the other take no longer together."""

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
    """A connection to the first of the host's addresses that accepts one.

    Args:
        until: ``time.monotonic()`` at which it gives up. An address that does not answer leaves the others their share of the time.
        timeout_s: what each wait on the socket may take afterwards.

    Raises:
        OSError: there is none (``TimeoutError``: none in time).
    """
    addresses = _resolve(host.strip("[]"), port, until)
    trouble: OSError = TimeoutError(f"no address of {host} within the time")
    for number, address in enumerate(addresses):
        left_s = until - time.monotonic()
        if left_s <= 0:
            break
        try:
            sock = _connect_to(
                address, left_s / (len(addresses) - number), options or (), source_address
            )
        except OSError as error:
            trouble = error
        else:
            sock.settimeout(timeout_s)
            return sock
    raise trouble


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
    # The system's resolver takes the time it takes: it is left behind in its thread when that is too long.
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
