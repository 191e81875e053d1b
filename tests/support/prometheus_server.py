"""A real Prometheus, Debian's or any other on the path, that scrapes what a test runs."""

from __future__ import annotations

import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from trackrelay.worker.devstack.servers import ChildProcess
from trackrelay.worker.devstack.servers.ports import free_port


def is_installed() -> bool:
    """Return whether there is a Prometheus to start."""
    return shutil.which("prometheus") is not None


class Sample(NamedTuple):
    """A series at one moment."""

    #: With ``__name__``, unless the query dropped it.
    labels: dict[str, str]
    value: float


class PrometheusServer:
    """One Prometheus.

    Args:
        folder: for its configuration, its data and its log.
        jobs: what it scrapes, as in ``scrape_configs``.
        interval: between two scrapes, and between two evaluations of the rules.
        rules: files of rules.
    """

    def __init__(
        self,
        folder: Path,
        jobs: Sequence[Mapping[str, Any]],
        *,
        interval: str = "1s",
        rules: Sequence[Path] = (),
    ) -> None:
        self._folder = folder
        self._config = {
            "global": {
                "scrape_interval": interval,
                "scrape_timeout": interval,
                "evaluation_interval": interval,
            },
            "rule_files": [str(path) for path in rules],
            "scrape_configs": list(jobs),
        }
        self._port = free_port()
        self._child: ChildProcess | None = None

    def start(self) -> PrometheusServer:
        """Start it, without waiting for its first scrape."""
        # JSON is YAML.
        (self._folder / "prometheus.yml").write_text(json.dumps(self._config))
        with (self._folder / "prometheus.log").open("ab") as output:
            self._child = ChildProcess(
                "prometheus",
                [
                    shutil.which("prometheus") or "prometheus",
                    f"--config.file={self._folder}/prometheus.yml",
                    f"--storage.tsdb.path={self._folder}/prometheus-data",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                env=os.environ,
                cwd=self._folder,
                output=output.fileno(),
            ).start()
        return self

    def stop(self) -> None:
        """End it, and remove its data."""
        if self._child:
            self._child.stop()
        shutil.rmtree(self._folder / "prometheus-data", ignore_errors=True)

    def get(self, path: str) -> Any:
        """Return the data of an address below ``/api/v1/``; None while it does not answer.

        Raises:
            RuntimeError: it has ended.
            ValueError: it refused the query.
        """
        if self._child and not self._child.running:
            log = (self._folder / "prometheus.log").read_text(errors="replace")
            raise RuntimeError(f"Prometheus ended with code {self._child.exit_code}: {log[-500:]}")
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._port}/api/v1/{path}", timeout=30
            ) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it is not ready
                return None
            raise ValueError(f"{path}: {error.read().decode(errors='replace')}") from None
        except OSError:
            return None

    def query(self, expression: str) -> list[Sample]:
        """Return what a query finds now: a vector."""
        found = self.get(f"query?query={quote(expression)}") or {"result": []}
        return [Sample(each["metric"], float(each["value"][1])) for each in found["result"]]
