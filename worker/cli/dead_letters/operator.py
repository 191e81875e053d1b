"""Replaying and discarding in the name of whoever is at the keyboard, which goes into each letter's history."""

from __future__ import annotations

import getpass
import os
import socket

from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.dead_letters.replay_batches import Replayer


def replayer(stores: Stores, note: str | None) -> Replayer:
    """One that acts for the user."""
    delay_s = stores.settings.merge_delay.total_seconds()
    return Replayer(stores.engine, stores.redis, stores.hasher(), delay_s, who=_who(), note=note)


def _who() -> str:
    """``ada@web-1``: the user, and the machine."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        user = f"uid {os.getuid()}"  # containers run as users that have no name
    return f"{user}@{socket.gethostname()}"
