"""Serve ``/metrics``, ``/healthz`` and ``/readyz``, as an ASGI application or by itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, samples
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder

from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.storage.counts import Tally
from trackrelay.worker.telemetry.exemplars import Exemplar

from . import metric_values
from .metric_facts import (
    MAX_AGE_S,
    MAX_READY_AGE_S,
    MIN_AGE_S,
    READY_AGE_S,
    REST,
    Cached,
    Facts,
    not_ready,
    read_facts,
)
from .metric_table import METRICS

_TEXT = "text/plain; charset=utf-8"

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Mapping[str, Any], Callable[[], Awaitable[Any]], Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    body: bytes
    content_type: str = _TEXT


class FactCollector:
    """The metrics of some facts, for prometheus-client."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def describe(self) -> list[Metric]:
        """Describe nothing: a registry would collect at once, to learn the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield each metric that has a value."""
        for declared in METRICS:
            family = _family(declared)
            exemplars = self._facts.exemplars if declared.has_exemplars else {}
            for labels, value in declared.values(self._facts):
                _add(family, declared, labels, value, exemplars)
            if family.samples:
                yield family


def _family(declared: metric_values.Metric) -> Any:
    kinds = {
        "counter": CounterMetricFamily,
        "gauge": GaugeMetricFamily,
        "histogram": HistogramMetricFamily,
    }
    name = metric_values.PREFIX + declared.name
    return kinds[declared.kind](name, declared.about, labels=declared.labels)


def _add(
    family: Any,
    declared: metric_values.Metric,
    labels: tuple[str, ...],
    value: float | Tally,
    exemplars: Mapping[tuple[str, int], Exemplar],
) -> None:
    if not isinstance(value, Tally):
        family.add_metric(labels, value)
        return
    total = 0
    buckets: list[Any] = []
    bounds = (*declared.bounds, float("inf"))
    for index, (bound, number) in enumerate(zip(bounds, value.buckets, strict=True)):
        total += number
        buckets.append((f"{bound:g}" if bound < float("inf") else "+Inf", total))
        if found := exemplars.get((labels[0], index)):
            exemplar = samples.Exemplar({"trace_id": found.trace_id}, found.seconds, found.at)
            buckets[-1] = (*buckets[-1], exemplar)
    family.add_metric(labels, buckets=buckets, sum_value=value.sum_s)


def metrics_text(facts: Facts, accept: str = "") -> tuple[bytes, str]:
    """Return the metrics, and the content type that the client accepts: OpenMetrics or text."""
    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FactCollector(facts))
    return encode(registry), content_type


class Responder:
    """Answers requests for the metrics and for probes.

    Args:
        stores: what is observed. One thread at a time uses them.
    """

    def __init__(self, stores: Stores) -> None:
        self._facts = Cached(partial(read_facts, stores), MIN_AGE_S, MAX_AGE_S, REST)
        self._not_ready = Cached(partial(not_ready, stores), READY_AGE_S, MAX_READY_AGE_S, REST)

    def answer(self, path: str, accept: str = "") -> Answer:
        """Return the answer to a GET."""
        match path.rstrip("/"):
            case "/metrics":
                return Answer(200, *metrics_text(self._facts.get(), accept))
            case "/healthz":
                return Answer(200, b"ok\n")
            case "/readyz":
                problems = self._not_ready.get()
                lines = "".join(f"{each}\n" for each in problems or ["ready"])
                return Answer(503 if problems else 200, lines.encode())
        return Answer(404, b"There are /metrics, /healthz and /readyz.\n")


def metrics_app(stores: Stores) -> AsgiApp:
    """Return an ASGI application with the metrics and the probes. It asks for no password."""
    responder = Responder(stores)

    async def app(
        scope: Mapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Send
    ) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        if scope["method"] in ("GET", "HEAD"):
            answer = await asyncio.to_thread(responder.answer, path, accept)
        else:
            answer = Answer(405, b"GET alone is allowed.\n")
        headers = [
            (b"content-type", answer.content_type.encode()),
            (b"content-length", str(len(answer.body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body})

    return app


def metrics_server(stores: Stores, host: str, port: int) -> ThreadingHTTPServer:
    """Return a server with the metrics and the probes. It listens already.

    Raises:
        OSError: the port is taken, or there is no such host.
    """
    responder = Responder(stores)

    class Handler(BaseHTTPRequestHandler):
        server_version = "trackrelay"
        sys_version = ""
        #: A client that sends nothing is left after this time.
        timeout = 10

        def do_GET(self) -> None:
            """Answer a request."""
            path = self.path.partition("?")[0]
            answer = responder.answer(path, self.headers.get("accept", ""))
            self.send_response(answer.status)
            self.send_header("content-type", answer.content_type)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        def do_HEAD(self) -> None:
            """Answer without a body."""
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing: probes ask every few seconds."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    return Server((host, port), Handler)
