"""``python -m benchmarks.traces``: what OpenTelemetry costs a call, and delivery.

Variants take turns in short blocks and runs, so that all meet the same machine. Every job is
traced, each in a trace of its own, and the spans go to a collector that drops them.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import psutil

from trackrelay import Producer
from trackrelay.worker.devstack.servers import ChildProcess

from .end_to_end import CONCURRENCY, SHARDS, feed_and_wait
from .feed import TRACES
from .stack import ROOT, Stack

#: Calls in a block.
BLOCK = 500
DATA = {"p0": "A-1", "p1": 12.5, "p2": 3, "p3": True, "p4": "some text", "p5": 99.9}
#: What the collector prints.
READY = b"the collector listens"


class TracedStack(Stack):
    """Starts workers under OpenTelemetry's own instrumentation if there is a collector."""

    collector = ""
    _is_worker = False

    @contextmanager
    def process(
        self, name: str, command: Sequence[str], ready: bytes = b""
    ) -> Iterator[ChildProcess]:
        """Run a child process."""
        self._is_worker = name == "worker"
        with super().process(name, command, ready) as child:
            yield child

    def environment(self) -> dict[str, str]:
        """Return the environment for a child process."""
        own = super().environment()
        if not self.collector:
            return own
        if not self._is_worker:
            return own | {TRACES: "1"}
        import opentelemetry.instrumentation

        folder = Path(opentelemetry.instrumentation.__path__[0]) / "auto_instrumentation"
        return own | {
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "celery",
        }


@click.command()
@click.option("--blocks", default=20, show_default=True, help="Blocks of calls of each variant.")
@click.option("--runs", default=5, show_default=True, help="Runs of delivery of each variant.")
@click.option("--jobs", default=20_000, show_default=True, help="Jobs in a run.")
@click.option("--pool", default="prefork", show_default=True, help="Pool of the worker.")
def main(blocks: int, runs: int, jobs: int, pool: str) -> None:
    """Measure calls and delivery with and without tracing."""
    command = ["benchmarks.traces", "collect"]
    with TracedStack() as stack, stack.process("collector", command, READY) as child:
        collector = f"http://127.0.0.1:{_port_of(child.pid)}"
        if blocks:
            stack.fresh()
            _print("a call", "µs", _calls(stack.valkey.url, collector, blocks))
        if runs:
            rates, cpu_s = _deliveries(stack, collector, runs, jobs, pool)
            _print("delivery", "jobs/s", rates)
            _print("delivery", "CPU-seconds for 10,000 jobs", cpu_s)


def _print(what: str, unit: str, measured: dict[str, list[float]]) -> None:
    first = statistics.median(next(iter(measured.values())))
    for name, figures in measured.items():
        median = statistics.median(figures)
        click.echo(
            f"{what}, {name}: {median:,.2f} {unit}, {median / first:.3f} times "
            f"({min(figures):,.2f} to {max(figures):,.2f})"
        )


class _Calls:
    """Blocks of calls, each variant in the same process."""

    def __init__(self, redis_url: str, collector: str) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self.trace: Any = trace
        self.provider = TracerProvider()
        exporter = OTLPSpanExporter(endpoint=f"{collector}/v1/traces")
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self.provider.get_tracer("benchmark")
        self.producer = Producer(redis_url=redis_url, max_queue_length=10_000_000)
        self.untraced = Producer(redis_url=redis_url, max_queue_length=10_000_000, tracing=False)
        self.variants: dict[str, Callable[[], float]] = {
            "OpenTelemetry absent": self._absent,
            "no SDK": self._block,
            "not sampled": self._not_sampled,
            "a bare span of the SDK around each call": self._bare,
            "every call traced": self._traced,
        }

    def close(self) -> None:
        """Close everything."""
        self.producer.close()
        self.untraced.close()
        self.provider.shutdown()

    def _block(self, call: Callable[[], object] | None = None) -> float:
        call = call or (lambda: self.producer.track("42", "seen", DATA))
        started = time.perf_counter()
        for _ in range(BLOCK):
            call()
        return (time.perf_counter() - started) / BLOCK * 1e6

    def _absent(self) -> float:
        # What a process sees that never imported OpenTelemetry.
        module = sys.modules.pop("opentelemetry.trace")
        try:
            return self._block()
        finally:
            sys.modules["opentelemetry.trace"] = module

    def _with_sdk(self) -> float:
        self.trace._TRACER_PROVIDER = self.provider
        try:
            return self._block()
        finally:
            self.trace._TRACER_PROVIDER = None

    def _not_sampled(self) -> float:
        trace = self.trace
        with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 2, True))):
            return self._with_sdk()

    def _bare(self) -> float:
        # What no instrumentation of a call can do without.
        def call() -> None:
            span = self.tracer.start_span("enqueue", kind=self.trace.SpanKind.PRODUCER)
            self.untraced.track("42", "seen", DATA)
            span.end()

        with self.tracer.start_as_current_span("request"):
            return self._block(call)

    def _traced(self) -> float:
        with self.tracer.start_as_current_span("request"):
            return self._with_sdk()


def _calls(redis_url: str, collector: str, blocks: int) -> dict[str, list[float]]:
    calls = _Calls(redis_url, collector)
    measured: dict[str, list[float]] = {name: [] for name in calls.variants}
    for number in range(blocks):
        for name in calls.variants if number % 2 == 0 else reversed(calls.variants):
            measured[name].append(calls.variants[name]())
            calls.provider.force_flush()
    calls.close()
    return measured


def _deliveries(
    stack: TracedStack, collector: str, runs: int, jobs: int, pool: str
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    variants = {"OpenTelemetry absent": "", "every job traced": collector}
    rates: dict[str, list[float]] = {name: [] for name in variants}
    cpu_s: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(runs):
        for name in variants if number % 2 == 0 else reversed(variants):
            stack.fresh(SHARDS)
            stack.collector = variants[name]
            with stack.workers(1, pool=pool, concurrency=CONCURRENCY) as pids:
                result = feed_and_wait(stack, "events", jobs, pids, name)
            rates[name].append(result.delivered_per_s)
            cpu_s[name].append(result.cpu_s_per_10k)
            click.echo(f"{name}: {result.delivered_per_s:,.0f} jobs/s, {result.cpu_s_per_10k:g} s")
    stack.collector = ""
    return rates, cpu_s


def _port_of(pid: int) -> int:
    with contextlib.suppress(IndexError):
        return int(psutil.Process(pid).net_connections("tcp4")[0].laddr.port)
    raise click.ClickException("the collector does not listen")


@contextmanager
def _collector() -> Iterator[ThreadingHTTPServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        yield server


def collect() -> None:
    """Take spans, and drop them."""
    with _collector() as server:
        print(READY.decode(), flush=True)
        server.serve_forever()


if __name__ == "__main__":
    collect() if sys.argv[1:] == ["collect"] else main()
