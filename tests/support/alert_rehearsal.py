"""Every alert rule on a real Prometheus, while real things break.

``python -m tests.support.alert_rehearsal``: two minutes of calm traffic must fire nothing. Then
each fault must fire its alert. The rules are those of `deploy/prometheus` with shorter times.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import yaml

from tests.chaos.plans import StackPlan, TrafficPlan, WorkerPlan
from tests.chaos.stack import Stack
from tests.support.prometheus_server import PrometheusServer
from tests.support.waiting import wait_until
from tests.support.worker_process import ROOT, clean_environment
from trackrelay import Producer
from trackrelay.outbox import Outbox
from trackrelay.worker.devstack.servers.ports import free_port

RULES = ROOT / "deploy" / "prometheus" / "trackrelay.rules.yml"
WORKERS = (WorkerPlan("prefork", 2),) * 3
#: What becomes of the times and limits of the rules.
SHORTER = (
    (r"\[\d+[mh]\]", "[30s]"),
    (r"> 600 ", "> 20 "),
    (r"> 120$", "> 10"),
    (r"> 100$", "> 20"),
)


def short_rules() -> dict[str, Any]:
    """The rules with times of seconds."""
    document: dict[str, Any] = yaml.safe_load(RULES.read_text())
    for rule in document["groups"][0]["rules"]:
        for pattern, replacement in SHORTER:
            rule["expr"] = re.sub(pattern, replacement, rule["expr"], flags=re.MULTILINE)
        rule["for"] = "4s"
    return document


class Rehearsal:
    """A stack, `trackrelay metrics`, and a Prometheus that scrapes it every second."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.metrics_port = free_port()
        self.settings = clean_environment() | stack.settings
        self.producer = Producer(redis_url=stack.valkey.url, enqueue_timeout=5)
        self.problems: list[str] = []
        self._traffic = threading.Event()

    def start(self) -> None:
        """Start what observes."""
        rules = self.folder / "rules.yml"
        rules.write_text(yaml.safe_dump(short_rules()))
        self.metrics = self._metrics()
        job = {"static_configs": [{"targets": [f"127.0.0.1:{self.metrics_port}"]}]}
        jobs = [{"job_name": "trackrelay", **job}]
        self.prometheus = PrometheusServer(self.folder, jobs, rules=[rules]).start()
        threading.Thread(target=self._track, daemon=True).start()

    def _metrics(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "trackrelay.worker.cli.main", "metrics"]
        return subprocess.Popen([*command, f"--port={self.metrics_port}"], env=self.settings)

    def _track(self) -> None:
        number = 0
        while True:
            if self._traffic.is_set():
                number += 1
                try:
                    self.producer.track(f"p{number % 50}", "seen", {"n": number})
                except Exception:
                    time.sleep(0.5)
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop what observes."""
        self.prometheus.stop()
        self.metrics.terminate()
        self.metrics.wait(60)

    def firing(self) -> set[str]:
        """The alerts that fire."""
        found = self.prometheus.get("alerts") or {"alerts": []}
        return {
            each["labels"]["alertname"] for each in found["alerts"] if each["state"] == "firing"
        }

    def calm(self, seconds: float) -> None:
        """Enqueue and deliver; nothing may fire."""
        self._traffic.set()
        wait_until(lambda: self.prometheus.query("trackrelay_info"), 60, "a scrape")
        wait_until(lambda: not self.firing(), 60, "the alerts of the start to end")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := self.firing():
                self.problems.append(f"fired in calm: {sorted(found)}")
                break
            time.sleep(1)
        self._say("calm", sorted(self.firing()))

    @contextmanager
    def fires(self, *alerts: str) -> Iterator[None]:
        """The body breaks something: these alerts must fire before it is repaired."""
        began = time.monotonic()
        try:
            yield
            wait_until(lambda: set(alerts) <= self.firing(), 120, f"{alerts} to fire")
        except AssertionError as error:
            self.problems.append(str(error)[:200])
        self._say(", ".join(alerts), f"after {time.monotonic() - began:.0f} s", self.firing())

    def _say(self, *what: object) -> None:
        click.echo("  ".join(map(str, what)))

    def sql(self, statement: str) -> None:
        """Change the stores by hand."""
        with self.stack.engine.begin() as connection:
            connection.exec_driver_sql(statement)

    def command(self, *arguments: str) -> None:
        """Run a command."""
        command = [sys.executable, "-m", "trackrelay.worker.cli.main", *arguments]
        subprocess.run(command, env=self.settings, check=True, capture_output=True)

    def break_everything(self) -> None:
        """One fault after the other."""
        stack, client = self.stack, self.stack.sandbox.client
        with self.fires("TrackrelayDeadLetters", "TrackrelayManyDeadLetters"):
            number = client.add_fault(kind="reject", match={"contains": '"seen"'})
            time.sleep(15)
            client.delete_fault(number)
        self._refused_calls()
        with self.fires("TrackrelayRateLimited"):
            number = client.add_fault(kind="status", status=429, rate=0.5)
            time.sleep(30)
        client.delete_fault(number)
        with self.fires("TrackrelayOutage", "TrackrelayJobsLate"):
            client.start_outage(503)
        client.end_outage()
        with self.fires("TrackrelayHalted"):
            client.set_credentials(api_key="another")
        client.set_credentials(api_key=stack.sandbox.api_key)
        self.command("probe", "--no-wait")
        with self.fires("TrackrelayPaused"):
            self.command("pause", "--no-wait")
        self.command("resume")
        with self.fires("TrackrelayRedisNearlyFull"):
            info: Any = stack.redis.info("memory")
            used = int(info["used_memory"])
            stack.redis.config_set("maxmemory", int(used * 1.5))
        stack.redis.config_set("maxmemory", 0)
        with self.fires("TrackrelayShardsLost", "TrackrelayNotApplied"):
            self.sql(
                "INSERT INTO trackrelay_counters "
                "VALUES ('minute', now(), -1, 'shards_lost', 'lease', 20)"
            )
            self.sql(
                "INSERT INTO trackrelay_verdicts (key, item, verdict, reason, checked_at, state) "
                "VALUES ('id:1', 'exists', 'missing', 'no', now(), 'open')"
            )
        with self.fires("TrackrelayPersonNotForgotten"):
            self.sql(
                "INSERT INTO trackrelay_forgotten (key, request, mode, blocked) VALUES "
                "('id:#x', 'R', 'erase', false)"
            )
        self._without_workers()

    def _refused_calls(self) -> None:
        url = self.stack.valkey.url
        with self.fires("TrackrelayCallsRefused", "TrackrelayQueueRefusesCalls"):
            for number in range(5):
                refused = Producer(redis_url=url, on_invalid="log", source=f"a{number}")
                refused.track("1", "")
                full = Producer(redis_url=url, on_unavailable="log", max_queue_length=1)
                with full.pipeline() as pipeline:
                    for person in range(5):
                        pipeline.track(str(person), "seen")
                time.sleep(4)
                refused.close()
                full.close()

    def _without_workers(self) -> None:
        stack = self.stack
        with self.fires("TrackrelayProcessesRefuse"):
            stack.redis.hset(
                "trackrelay:refusing", "host:1", json.dumps({"at": time.time(), "message": "no"})
            )
        stack.fleet.retire(list(stack.fleet.workers))
        with self.fires("TrackrelayNoWorker", "TrackrelayOutboxNotRelayed"):
            assert stack.application is not None
            with stack.application.begin() as connection:
                Outbox(connection).track("1", "seen")
        with self.fires("TrackrelayStoreDown"):
            stack.redis.flushall()
        stack.fleet.add(WORKERS)
        with self.fires("TrackrelayJobsLost"):
            pass
        self.metrics.terminate()
        self.metrics.wait(60)
        with self.fires("TrackrelayNotObserved"):
            pass
        self.metrics = self._metrics()


@click.command()
@click.option("--calm", default=120.0, show_default=True, help="Seconds without a fault.")
def main(calm: float) -> None:
    """Rehearse every alert."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(StackPlan(workers=WORKERS), TrafficPlan(outbox="other"), Path(folder))
        stack.start()
        rehearsal = Rehearsal(stack, Path(folder))
        try:
            rehearsal.start()
            rehearsal.calm(calm)
            rehearsal.break_everything()
        finally:
            rehearsal.stop()
            stack.close()
    for problem in rehearsal.problems:
        click.echo(problem, err=True)
    sys.exit(bool(rehearsal.problems))


if __name__ == "__main__":
    main()
