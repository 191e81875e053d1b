"""Who is at the keyboard: written into the history of what they replay or discard."""

from __future__ import annotations

import getpass
import os
import socket


def who() -> str:
    """``ada@web-1``: the user, and the machine."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        user = f"uid {os.getuid()}"  # containers run as users that have no name
    return f"{user}@{socket.gethostname()}"
