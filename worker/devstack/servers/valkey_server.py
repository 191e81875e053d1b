"""Valkey, which speaks Redis' protocol."""

import os
import re
import secrets
import signal
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from . import ports
from .binaries import valkey_server
from .server_process import ServerProcess

PROBE_TIMEOUT_S = 1.0


class ValkeyProcess(ServerProcess):
    """A Valkey set up as trackrelay needs its Redis: append-only file, nothing evicted.

    Arguments:
        data_dir, port: see `ServerProcess`.
        appendonly, appendfsync: whether and how the append-only file is written.
        maxmemory: limit such as `"64mb"`; none by default.
        config: further settings by the names of valkey.conf.
        with_password: whether it asks for one, made with the data: other users of this machine reach the port too.
    """

    name: ClassVar[str] = "Valkey"
    farewell: ClassVar[tuple[tuple[signal.Signals, float], ...]] = ((signal.SIGTERM, 10.0),)

    def __init__(
        self,
        data_dir: Path | str | None = None,
        *,
        port: int | None = None,
        appendonly: bool = True,
        appendfsync: Literal["everysec", "always", "no"] = "everysec",
        maxmemory: int | str | None = None,
        config: Mapping[str, str] | None = None,
        with_password: bool = False,
    ) -> None:
        super().__init__(data_dir, port=port)
        self._with_password = with_password
        self.config = {
            "appendonly": "yes" if appendonly else "no",
            "appendfsync": appendfsync,
            "maxmemory": str(maxmemory or 0),
            "maxmemory-policy": "noeviction",
            "save": "",  # the append-only file is enough; snapshots would fork at moments of their own
            **(config or {}),
        }

    @property
    def url(self) -> str:
        who = f":{self.password}@" if self._with_password else ""
        return f"redis://{who}{ports.HOST}:{self.port}/0"

    @property
    def password(self) -> str:
        """Its password, hexadecimal; empty: it asks for none."""
        return self._password_file.read_text().split()[-1] if self._with_password else ""

    @property
    def _password_file(self) -> Path:
        # A file of settings, as process lists show arguments to everybody.
        return self.data_dir / "password.conf"

    def _temporary_dir(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="trackrelay-valkey-"))

    def _prepare(self) -> None:
        self.data_dir.joinpath("data").mkdir(mode=0o700, exist_ok=True)
        if self._with_password and not self._password_file.exists():
            fresh = self._password_file.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            with os.fdopen(
                os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w"
            ) as file:
                file.write(f"requirepass {secrets.token_hex(16)}\n")
            fresh.rename(self._password_file)

    def _command(self) -> list[str]:
        place = {
            "bind": ports.HOST,
            "port": str(self.port),
            "dir": str(self.data_dir / "data"),
            "daemonize": "no",
        }
        settings = {**self.config, **place}
        file = [str(self._password_file)] if self._with_password else []
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return [str(valkey_server()), *file, *options]

    def _is_ready(self, pid: int) -> bool:
        """Asks whether it is done loading, and who it is: on a port lost to somebody else, another may answer."""
        try:
            with socket.create_connection((ports.HOST, self.port), PROBE_TIMEOUT_S) as connection:
                login = f"AUTH {self.password}\r\n" if self._with_password else ""
                connection.sendall(f"{login}INFO everything\r\nQUIT\r\n".encode())
                with connection.makefile("rb") as answer:
                    said = answer.read()
        except OSError:
            return False
        process_id = re.search(rb"^process_id:(\d+)", said, re.MULTILINE)
        return process_id is not None and int(process_id[1]) == pid and b"\nloading:0" in said
