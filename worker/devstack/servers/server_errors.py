"""What can go wrong with an embedded server."""

from pathlib import Path

LOG_TAIL_BYTES = 4_000


class ServerError(Exception):
    """An embedded server could not be started, stopped or found; the message says which and why."""


class ServerDied(ServerError):
    """The server ended while it was expected to run."""


def tail(log: Path) -> str:
    """The last lines a server wrote, for an error message."""
    try:
        return log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
    except OSError:
        return ""
