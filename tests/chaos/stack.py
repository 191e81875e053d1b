"""Everything a scenario runs on, as real processes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import psycopg
import redis
import sqlalchemy as sa

from tests.support.replicas import REPLICATES, RedisGroup, StandbyProcess
from tests.support.worker_process import ROOT
from trackrelay.outbox import create_table
from trackrelay.queue.connections import make_client
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.devstack.servers import PostgresProcess, ServerProcess, ValkeyProcess
from trackrelay.worker.queue.bootstrap import migrate
from trackrelay.worker.settings import sqlalchemy_url

from .fleet import Fleet
from .hostile_front import HostileFront
from .plans import StackPlan, TrafficPlan
from .producing import Order
from .prometheus_watch import PrometheusWatch
from .proxy import Proxy

#: What Customer.io's answer takes, so that something is under way when things break.
LATENCY = "20ms"
REQUEST_TIMEOUT_S = 3.0
#: The database of an application that keeps apart from ours.
APPLICATION = "application"


class Stack:
    """Servers, workers and producers of one scenario.

    Args:
        folder: for journals and logs.
    """

    def __init__(self, plan: StackPlan, traffic: TrafficPlan, folder: Path) -> None:
        self.plan = plan
        self.traffic = traffic
        self.folder = folder
        #: A Redis with a replica and Sentinels, if the plan has them; `valkey` is its first server.
        self.group = RedisGroup(config=dict(plan.redis)) if plan.sentinels else None
        self.valkey = (
            self.group.servers[0] if self.group else ValkeyProcess(config=dict(plan.redis))
        )
        replicates = REPLICATES if plan.standby else {}
        self.postgres = PostgresProcess(durable=True, settings={**replicates, **plan.postgres})
        #: The present standby, if the plan has one.
        self.standby: StandbyProcess | None = None
        self.sandbox = SandboxProcess(0, **{"latency": LATENCY, **plan.sandbox})
        self.redis_proxy: Proxy | None = None
        self.postgres_proxy: Proxy | None = None
        self.front: HostileFront | None = None
        #: What observes the stack, if it is observed.
        self.watch: PrometheusWatch | None = None
        #: Further servers that a scenario started; ended with the others.
        self.others: list[ServerProcess] = []
        #: The application's database, with its outbox.
        self.application: sa.Engine | None = None
        self._producers: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start everything but the producers."""
        with ThreadPoolExecutor() as pool:
            redis_servers = self.group or self.valkey
            list(
                pool.map(
                    lambda server: server.start(), (redis_servers, self.postgres, self.sandbox)
                )
            )
        if self.plan.redis_proxy:
            self.redis_proxy = Proxy(self.valkey.port).start()
        if self.plan.postgres_proxy:
            self.postgres_proxy = Proxy(self.postgres.port).start()
        if self.plan.hostile_front:
            self.front = HostileFront(self.sandbox.url).start()
        #: The harness's own connections go past the proxies.
        self.redis = (
            make_client(self.group.url, 30.0)
            if self.group
            else redis.Redis.from_url(self.valkey.url, socket_timeout=30)
        )
        if self.plan.standby:
            self.standby = StandbyProcess(self.postgres).start()
            self._database_hosts = f"127.0.0.1:{self.postgres.port},127.0.0.1:{self.standby.port}"
        self.engine = sa.create_engine(sqlalchemy_url(self.database_url), poolclass=sa.NullPool)
        migrate(self.engine, self.redis, self.plan.shards)
        if self.traffic.outbox:
            self.application = self._make_application()
        self.api_key_file.write_text(self.sandbox.api_key)
        self.fleet = Fleet(self.settings, self.folder, self.plan.include)
        self.fleet.start(self.plan.workers, self.plan.beats, self.plan.relays)

    def observe(self) -> None:
        """Start a Prometheus, and what it scrapes."""
        self.watch = PrometheusWatch(self.settings, self.folder)
        self.watch.start()

    @property
    def redis_url(self) -> str:
        """Redis as workers and producers reach it."""
        if self.group:
            return self.group.url
        return _through(self.valkey.url, self.valkey.port, self.redis_proxy)

    @property
    def database_url(self) -> str:
        """Postgres past the proxy: both hosts, if there is a standby."""
        if not self.plan.standby:
            return self.postgres.url
        who, _, where = self.postgres.url.partition("@")
        database = where.partition("/")[2]
        return f"{who}@{self._database_hosts}/{database}?target_session_attrs=read-write"

    @property
    def api_key_file(self) -> Path:
        """Holds the Track API key, where the workers read it from a file."""
        return self.folder / "track-api-key"

    @property
    def settings(self) -> dict[str, str]:
        """The workers' environment."""
        return {
            "TRACKRELAY_REDIS_URL": self.redis_url,
            "TRACKRELAY_DATABASE_URL": _through(
                self.database_url, self.postgres.port, self.postgres_proxy
            ),
            "CUSTOMERIO_TRACK_URL": self.front.url if self.front else self.sandbox.url,
            "CUSTOMERIO_SITE_ID": self.sandbox.site_id,
            **(
                {"CUSTOMERIO_TRACK_API_KEY_FILE": str(self.api_key_file)}
                if self.plan.api_key_file
                else {"CUSTOMERIO_TRACK_API_KEY": self.sandbox.api_key}
            ),
            "TRACKRELAY_REQUEST_TIMEOUT": f"{REQUEST_TIMEOUT_S:g}s",
            "TRACKRELAY_MERGE_DELAY": "1s",
            "TRACKRELAY_LOG_FORMAT": "json",
            **({"TRACKRELAY_OUTBOX_URL": self.outbox_url} if self.traffic.outbox else {}),
            **self.plan.settings,
        }

    @property
    def outbox_url(self) -> str:
        """The application's database as its own processes, and the relay, reach it."""
        url = self.postgres.url_of("postgres" if self.traffic.outbox == "same" else APPLICATION)
        return _through(url, self.postgres.port, self.postgres_proxy).replace(
            "postgresql://", "postgresql+psycopg://"
        )

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection to Postgres that goes past the proxy."""
        return psycopg.connect(self.database_url)

    def produce(self, seed: int, rate: float) -> None:
        """Put the load on: producers that call ``rate`` times a second between them."""
        traffic = self.traffic
        for index in range(traffic.processes):
            order = Order(
                redis_url=self.redis_url,
                journal=str(self.journal(f"p{index}")),
                seed=seed,
                process=f"p{index}",
                rate=rate / traffic.processes,
                mix=traffic.mix,
                clock_off_s=traffic.clocks_off_s[index % len(traffic.clocks_off_s)],
                clock_jumps_s=traffic.clock_jumps_s,
                max_queue_length=traffic.max_queue_length,
                enqueue_timeout=traffic.enqueue_timeout,
                wait_replicas=traffic.wait_replicas,
                outbox_url=self.outbox_url if traffic.outbox else "",
                fallback=traffic.fallback,
            )
            with (self.folder / f"producer{index}.log").open("ab") as output:
                self._producers.append(
                    subprocess.Popen(
                        [
                            sys.executable,
                            "-m",
                            "tests.chaos.producing",
                            msgspec.json.encode(order).decode(),
                        ],
                        stdin=subprocess.PIPE,
                        stdout=output,
                        stderr=output,
                        cwd=ROOT,
                        start_new_session=True,
                    )
                )

    def _make_application(self) -> sa.Engine:
        if self.traffic.outbox == "same":
            engine = self.engine
        else:
            with psycopg.connect(self.postgres.url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {APPLICATION}")
            engine = sa.create_engine(
                sqlalchemy_url(self.postgres.url_of(APPLICATION)), poolclass=sa.NullPool
            )
        create_table(engine)
        return engine

    def journal(self, process: str) -> Path:
        """Where a producer writes down its calls."""
        return self.folder / f"{process}.journal"

    @property
    def journals(self) -> list[Path]:
        """All there are."""
        return sorted(self.folder.glob("*.journal"))

    def stop_producing(self, timeout_s: float = 180.0) -> None:
        """Stop the load, and wait for the last answer. Raises if a producer failed."""
        for producer in self._producers:
            assert producer.stdin is not None
            producer.stdin.close()
        for index, producer in enumerate(self._producers):
            if producer.wait(timeout_s) != 0:
                raise RuntimeError(
                    f"producer {index} failed:\n"
                    f"{(self.folder / f'producer{index}.log').read_text()[-3000:]}"
                )
        self._producers = []

    def heal(self, *, api: bool = True) -> None:
        """End every fault that a scenario may have left behind; the API's only if asked."""
        for proxy in (self.redis_proxy, self.postgres_proxy):
            if proxy:
                proxy.go_on()
        standbys = (self.standby,) if self.standby else ()
        for server in (
            *(self.group.servers if self.group else (self.valkey,)),
            self.postgres,
            *standbys,
        ):
            if server.running:
                server.resume()
            else:
                server.start()
        if self.group:
            self.group.wait_for_replicas()
        if api:
            self.sandbox.client.clear_faults()
            if self.front:
                self.front.behave()

    def close(self) -> None:
        """End everything."""
        for producer in self._producers:
            producer.kill()
            producer.wait()
        if self.watch:
            self.watch.close()
        if hasattr(self, "fleet"):
            self.fleet.close()
            self.redis.close()
        for proxy in (self.redis_proxy, self.postgres_proxy):
            if proxy:
                proxy.close()
        if self.front:
            self.front.close()
        self.sandbox.kill()
        for server in self.others:
            server.close()
        (self.group or self.valkey).close()
        if self.standby:
            self.standby.close()
        self.postgres.close()


def _through(url: str, port: int, proxy: Proxy | None) -> str:
    return url.replace(f":{port}/", f":{proxy.port}/") if proxy else url
