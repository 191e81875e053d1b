"""Servers that replicate: a Redis watched by Sentinels, and a Postgres with a standby."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import urlencode

import psycopg
import redis

from trackrelay.worker.devstack.servers import PostgresProcess, ValkeyProcess, ports
from trackrelay.worker.devstack.servers.valkey_server import valkey_program

from .certificates import Certificate
from .waiting import wait_until

SERVICE = "mymaster"
#: After how long without an answer a Sentinel takes a server for dead.
DOWN_AFTER_MS = 1_500
SYNC_S = 60.0
#: What a primary needs for a standby; see `PostgresProcess`, which is set for none.
REPLICATES = {"wal_level": "replica", "max_wal_senders": "10", "hot_standby": "on"}


#: The user of clients at servers, and at Sentinels, where both speak TLS.
USER, SENTINEL_USER = "app", "watch"


def tls_program() -> str | None:
    """Return the path of a Redis that speaks TLS, as Valkey's wheel does not; None: not found.

    Debian's `redis-tools` has all of Redis under this name, and starts no server when installed.
    """
    return shutil.which("redis-check-rdb")


class _SpeaksTls(ValkeyProcess):
    """A server that speaks TLS alone, and requires client certificates, if it has a certificate."""

    certificate: Certificate | None = None

    def _prepare(self) -> None:
        super()._prepare()
        # Redis decides by the name under which it is called what it is.
        if self.certificate and not self._program.exists():
            self._program.symlink_to(tls_program() or "")

    @property
    def _program(self) -> Path:
        return self.data_dir / "redis-server" if self.certificate else valkey_program()

    def _tls_settings(self) -> dict[str, str]:
        if not self.certificate:
            return {}
        return {
            "port": "0",
            "tls-port": str(self.port),
            "tls-replication": "yes",
            "tls-auth-clients": "yes",
            "tls-ca-cert-file": str(self.certificate.authority),
            "tls-cert-file": str(self.certificate.file),
            "tls-key-file": str(self.certificate.key),
        }

    def _client(self, password: str, timeout_s: float) -> redis.Redis:
        tls: dict[str, Any] = {"ssl": True, **self.certificate.options} if self.certificate else {}
        return redis.Redis(
            host=ports.HOST,
            port=self.port,
            password=password or None,
            socket_timeout=timeout_s,
            **tls,
        )

    def _is_this(self, pid: int, password: str) -> bool:
        try:
            with self._client(password, 1) as client:
                return bool(client.info("server")["process_id"] == pid)
        except (redis.RedisError, OSError):
            return False


class SentinelProcess(_SpeaksTls):
    """One Sentinel.

    Args:
        primary: the server that it watches first.
        password: what its own clients need; empty: nothing.
        certificate: for TLS.
    """

    name: ClassVar[str] = "Sentinel"

    def __init__(
        self,
        primary: ValkeyProcess,
        *,
        quorum: int = 2,
        password: str = "",
        certificate: Certificate | None = None,
    ) -> None:
        super().__init__()
        self._primary, self._quorum, self._sentinel_password = primary, quorum, password
        self.certificate = certificate

    @property
    def _file(self) -> Path:
        return self.data_dir / "sentinel.conf"

    def _prepare(self) -> None:
        super()._prepare()
        if self._file.exists():
            return  # it writes down there what it learns
        auth = self._primary.password
        lines = [
            f"port {self.port}",
            f"bind {ports.HOST}",
            f"dir {self.data_dir / 'data'}",
            f"sentinel monitor {SERVICE} {ports.HOST} {self._primary.port} {self._quorum}",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {SERVICE} 6000",
            *([f"sentinel auth-pass {SERVICE} {auth}"] if auth else []),
            *(
                [
                    f"requirepass {self._sentinel_password}",
                    f"sentinel sentinel-pass {self._sentinel_password}",
                ]
                if self._sentinel_password
                else []
            ),
            *(f"{name} {value}" for name, value in self._tls_settings().items()),
            *(
                [f"user {SENTINEL_USER} on >{self._sentinel_password} allchannels +@all"]
                if self.certificate
                else []
            ),
        ]
        self._file.write_text("\n".join(lines) + "\n")

    def _command(self) -> list[str]:
        return [str(self._program), str(self._file), "--sentinel"]

    def _is_ready(self, pid: int) -> bool:
        return self._is_this(pid, self._sentinel_password)

    def client(self) -> redis.Redis:
        """A client of it."""
        return self._client(self._sentinel_password, 10)


class _Server(_SpeaksTls):
    """A server whose password is an argument: a Sentinel would rewrite its file."""

    def __init__(
        self, config: Mapping[str, str], password: str, certificate: Certificate | None
    ) -> None:
        own = {"requirepass": password, "masterauth": password} if password else {}
        super().__init__(config={**config, **own}, with_password=bool(password))
        self._own_password, self.certificate = password, certificate

    @property
    def password(self) -> str:
        return self._own_password

    def _command(self) -> list[str]:
        _, *rest = (part for part in super()._command() if part != str(self._password_file))
        for name, value in self._tls_settings().items():
            rest += [f"--{name}", value]
        if self.certificate:
            rest += ["--user", USER, "on", f">{self.password}", "~*", "&*", "+@all"]
        return [str(self._program), *rest]

    def _is_ready(self, pid: int) -> bool:
        return self._is_this(pid, self.password) if self.certificate else super()._is_ready(pid)

    def client(self) -> redis.Redis:
        """A client of it."""
        return self._client(self.password, SYNC_S)


class RedisGroup:
    """A primary, its replicas and three Sentinels.

    Args:
        config: settings of the servers.
        password: what clients of the servers need; empty: nothing.
        sentinel_password: what clients of the Sentinels need; empty: nothing.
        certificate: for TLS, which needs both passwords and :func:`tls_program`.
    """

    def __init__(
        self,
        replicas: int = 1,
        *,
        config: Mapping[str, str] | None = None,
        password: str = "",
        sentinel_password: str = "",
        certificate: Certificate | None = None,
    ) -> None:
        self.servers = [_Server(config or {}, password, certificate) for _ in range(replicas + 1)]
        self.sentinels = [
            SentinelProcess(self.servers[0], password=sentinel_password, certificate=certificate)
            for _ in range(3)
        ]
        self._sentinel_password, self._certificate = sentinel_password, certificate

    def start(self) -> Self:
        """Start everything, and wait until the replicas are in step and the Sentinels agree."""
        first, *others = self.servers
        for server in self.servers:
            server.start()
        for server in others:
            with self.client(server) as client:
                client.replicaof(ports.HOST, str(first.port))
        for sentinel in self.sentinels:
            sentinel.start()
        wait_until(lambda: len(self.online_replicas()) == len(others), SYNC_S, "the replicas")
        wait_until(self._is_watched, SYNC_S, "the Sentinels")
        return self

    @property
    def url(self) -> str:
        """The URL of the Sentinels."""
        password = self.servers[0].password
        hosts = ",".join(f"{ports.HOST}:{sentinel.port}" for sentinel in self.sentinels)
        own = f"&sentinel_password={self._sentinel_password}" if self._sentinel_password else ""
        if self._certificate:
            options = urlencode({"sentinel_user": SENTINEL_USER, **self._certificate.options})
            return f"sentinels://{USER}:{password}@{hosts}/{SERVICE}?db=0{own}&{options}"
        who = f":{password}@" if password else ""
        return f"sentinel://{who}{hosts}/{SERVICE}?db=0{own}"

    def client(self, server: _Server) -> redis.Redis:
        """A client of one server."""
        return server.client()

    def primary(self) -> _Server:
        """The server that the Sentinels take for the primary."""
        for sentinel in self.sentinels:
            # In an election a Sentinel may refuse its password for a moment.
            with contextlib.suppress(redis.RedisError), sentinel.client() as client:
                address = client.sentinel_get_master_addr_by_name(SERVICE)
                if address is not None:
                    return next(each for each in self.servers if each.port == int(address[1]))
        raise RuntimeError("no Sentinel knows a primary")

    def online_replicas(self) -> list[int]:
        """The ports of the replicas that are in step with the primary."""
        with self.client(self.primary()) as client:
            info = client.info("replication")
        replicas = [info.get(f"slave{number}") for number in range(len(self.servers))]
        return [each["port"] for each in replicas if each and each["state"] == "online"]

    def wait_for_replicas(self) -> None:
        """Wait until every server that runs replicates the primary."""
        running = sum(server.running for server in self.servers)
        wait_until(lambda: len(self.online_replicas()) == running - 1, SYNC_S, "the replicas")

    def fail_over(self) -> None:
        """Let the Sentinels promote a replica while everything runs."""
        before = self.primary().port
        with self.sentinels[0].client() as client:
            wait_until(lambda: _fails_over(client), SYNC_S, "a failover to be possible")
        wait_until(lambda: self.primary().port != before, SYNC_S, "the failover")

    def kill_primary(self) -> _Server:
        """`kill -9` of the primary. Returns it, once the Sentinels have promoted another server."""
        dead = self.primary()
        dead.kill()
        self.wait_for_another(dead)
        return dead

    def wait_for_another(self, than: _Server) -> None:
        """Wait until the Sentinels name another primary, and it accepts writes."""
        wait_until(lambda: self.primary() is not than, SYNC_S, "another primary")
        with self.client(self.primary()) as client:
            wait_until(lambda: client.info("replication")["role"] == "master", SYNC_S, "its role")

    def close(self) -> None:
        """End everything."""
        for server in (*self.sentinels, *self.servers):
            server.close()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _is_watched(self) -> bool:
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                state = client.sentinel_master(SERVICE)
            if (state["num-other-sentinels"], state["num-slaves"]) != (2, len(self.servers) - 1):
                return False
        return True


def _fails_over(sentinel: redis.Redis) -> bool:
    try:
        return bool(sentinel.execute_command("SENTINEL", "FAILOVER", SERVICE))
    except redis.ResponseError:
        return False  # an earlier one is too recent, or no replica is good enough yet


class StandbyProcess(PostgresProcess):
    """A standby, made by `pg_basebackup`.

    Args:
        primary: runs, with the settings `REPLICATES`.
        name: by which the primary knows it, for `synchronous_standby_names`.
        port: where it listens; a dead primary's, so that URLs with both hosts go on to fit.
    """

    def __init__(
        self, primary: PostgresProcess, name: str = "standby", *, port: int | None = None
    ) -> None:
        super().__init__(port=port, settings=REPLICATES)
        self._primary, self._name = primary, name

    def _write_password(self) -> None:
        self._password_file.write_text(self._primary.password)

    def _initdb(self) -> list[str]:
        source = f"{self._primary.url}?application_name={self._name}"
        return [
            self._program("pg_basebackup"),
            *("--pgdata", str(self._data), "--dbname", source),
            *("--wal-method", "stream", "--checkpoint", "fast", "--write-recovery-conf"),
        ]

    def promote(self) -> None:
        """Make it a primary."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote(true, 60)")

    def wait_in_step(self) -> None:
        """Wait until it streams from its primary, and has everything."""
        with psycopg.connect(self._primary.url, autocommit=True) as connection:
            deadline = time.monotonic() + SYNC_S
            while time.monotonic() < deadline:
                found = connection.execute(
                    "SELECT replay_lsn >= pg_current_wal_lsn() FROM pg_stat_replication"
                    " WHERE application_name = %s AND state = 'streaming'",
                    [self._name],
                ).fetchone()
                if found and found[0]:
                    return
                time.sleep(0.05)
        raise TimeoutError(f"the standby was not in step after {SYNC_S:g} s")
