"""Free TCP ports on this machine."""

import random
import socket
from pathlib import Path

from .server_errors import ServerError

HOST = "127.0.0.1"
LOWEST = 15_000
EPHEMERAL_FROM = 32_768
ATTEMPTS = 200


def free_port() -> int:
    """A port nobody listens on, below the range from which the system takes the ports of outgoing connections.

    Binding port 0 would give one inside that range. A client that keeps trying to reach a server which is down, as ours
    do while a server restarts, is then sooner or later given the server's own port to call from, connects to itself,
    and holds the port against the server's return.
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
    """Whether a server could listen on this port now."""
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
