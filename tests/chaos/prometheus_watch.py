"""What observes a stack as in a deployment, and a real Prometheus that scrapes it.

Workers serve no metrics: they count in Postgres and Redis, and `trackrelay metrics` and the console
serve the counts of all of them. Both reach the stores through the proxies that the faults break.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.prometheus_server import PrometheusServer
from tests.support.worker_process import ROOT, clean_environment
from trackrelay.worker.cli.metrics.metric_facts import MAX_AGE_S, MIN_AGE_S, REST
from trackrelay.worker.console.passwords import hash_password
from trackrelay.worker.devstack.servers import ChildProcess
from trackrelay.worker.devstack.servers.ports import free_port

from .metric_accounts import PREFIX, Scraped

TARGETS = ("metrics", "console")
INTERVAL = "2s"
LOGIN = {"username": "prometheus", "password": "watches-the-chaos"}
#: Within this time a reading that began after the run must be scraped.
FRESH_WITHIN_S = 180.0
POLL_S = 0.5


class PrometheusWatch:
    """`trackrelay metrics`, the console, and a Prometheus.

    Args:
        settings: the workers' environment.
        folder: for logs and data.
    """

    def __init__(self, settings: Mapping[str, str], folder: Path) -> None:
        self._settings = dict(settings) | {
            "TRACKRELAY_CONSOLE_USERS": f"prometheus:view:{hash_password(LOGIN['password'])}"
        }
        self._folder = folder
        self._ports = {target: free_port() for target in TARGETS}
        self._observers: list[ChildProcess] = []
        jobs: list[dict[str, Any]] = [
            {
                "job_name": target,
                "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
                **({"basic_auth": LOGIN} if target == "console" else {}),
            }
            for target, port in self._ports.items()
        ]
        self._prometheus = PrometheusServer(folder, jobs, interval=INTERVAL)

    def start(self) -> None:
        """Start everything, without waiting for the first scrape."""
        for target, port in self._ports.items():
            with (self._folder / f"{target}.log").open("ab") as output:
                self._observers.append(
                    ChildProcess(
                        target,
                        [
                            *(sys.executable, "-m", "trackrelay.worker.cli.main"),
                            *(target, "--port", str(port)),
                        ],
                        env=clean_environment() | self._settings,
                        cwd=ROOT,
                        output=output.fileno(),
                    ).start()
                )
        self._prometheus.start()

    def close(self) -> None:
        """End everything."""
        self._prometheus.stop()
        for observer in self._observers:
            observer.kill()

    def last_scrape(self, target: str, since: float) -> Scraped:
        """Return what Prometheus has of a target, once it was read from the stores after ``since``.

        Args:
            target: one of `TARGETS`.
            since: unix seconds.

        Raises:
            TimeoutError: nothing was read so late.
        """
        deadline = time.monotonic() + FRESH_WITHIN_S
        while not self._is_fresh(target, since):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"Prometheus has nothing of {target} that was read in the last "
                    f"{FRESH_WITHIN_S:g} s: {self._last_error(target)}"
                )
            time.sleep(POLL_S)
        values = {}
        for labels, value in self._prometheus.query(f'{{__name__=~"{PREFIX}.*",job="{target}"}}'):
            own = {
                (name, text)
                for name, text in labels.items()
                if name not in ("__name__", "job", "instance")
            }
            values[labels["__name__"].removeprefix(PREFIX), frozenset(own)] = value
        counters = {name for name, _ in values if name.endswith(("_total", "_count"))}
        resets = {
            name: round(self._number(f'sum(resets({PREFIX}{name}{{job="{target}"}}[1d]))'))
            for name in counters
        }
        scrapes = round(self._number(f'sum_over_time(up{{job="{target}"}}[1d])'))
        return Scraped(values, resets, scrapes)

    def _is_fresh(self, target: str, since: float) -> bool:
        # A reading is kept, and served again, for a time that depends on its duration.
        duration = f'{PREFIX}collection_duration_seconds{{job="{target}"}}'
        scraped_at = self._number(f"timestamp({duration})")
        kept_s = min(MAX_AGE_S, max(MIN_AGE_S, REST * self._number(duration)))
        up = self._number(f'sum({PREFIX}up{{job="{target}"}})')
        return scraped_at > since + kept_s and up == 2

    def _number(self, expression: str) -> float:
        found = self._prometheus.query(expression)
        return found[0].value if found else 0.0

    def _last_error(self, target: str) -> str:
        found = self._prometheus.get("targets") or {"activeTargets": []}
        errors = [
            str(each["lastError"])
            for each in found["activeTargets"]
            if each["labels"]["job"] == target
        ]
        return ", ".join(filter(None, errors)) or "no error of a scrape is known"
