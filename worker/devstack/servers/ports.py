"""Free TCP ports on this machine."""

import random
import socket
from pathlib import Path

from .child_process import ServerError

HOST = "127.0.0.1"
LOWEST = 15_000
EPHEMERAL_FROM = 32_768
ATTEMPTS = 200


def free_port() -> int:
    """Return a free port below the range of ports for outgoing connections.

    A port of that range, which binding port 0 returns, is not safe: while a server is down, a
    client that keeps trying to connect can get the server's port as its own. Then it connects to
    itself, and the server cannot return.

    Raises:
        ServerError: No free port was found.
    """
    highest = _ephemeral_from() - 1
    for _ in range(ATTEMPTS):
        port = random.randint(LOWEST, max(highest, LOWEST + 1_000))
        if is_free(port):
            return port
    raise ServerError(
        f"no free port found on {HOST} between {LOWEST} and {highest} in {ATTEMPTS} attempts"
    )


def is_free(port: int) -> bool:
    """Return whether a server can listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((HOST, port))
        except OSError:
            return False
    return True


def _ephemeral_from() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return EPHEMERAL_FROM  # macOS starts at 49,152
