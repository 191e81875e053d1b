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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import psutil

from trackrelay import Producer

from .end_to_end import CONCURRENCY, SHARDS, feed_and_wait
from .feed import TRACES
from .stack import ROOT, Stack

#: Calls in a block.
BLOCK = 500
DATA = {"p0": "A-1", "p1": 12.5, "p2": 3, "p3": True, "p4": "some text", "p5": 99.9}
#: What the collector prints.
READY = b"the collector listens"


class TracedStack(Stack):
    """Starts its processes under OpenTelemetry's own instrumentation if there is a collector."""

    collector = ""

    def environment(self) -> dict[str, str]:
        """Return the environment for a child process."""
        own = super().environment()
        if not self.collector:
            return own
        import opentelemetry.instrumentation

        folder = Path(opentelemetry.instrumentation.__path__[0]) / "auto_instrumentation"
        return own | {
            "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
            TRACES: "1",
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
            _print("delivery", "jobs/s", _deliveries(stack, collector, runs, jobs, pool))


def _print(what: str, unit: str, measured: dict[str, list[float]]) -> None:
    first = statistics.median(next(iter(measured.values())))
    for name, figures in measured.items():
        median = statistics.median(figures)
        click.echo(f"{what}, {name}: {median:,.1f} {unit}, {median / first:.3f} times")


def _calls(redis_url: str, collector: str, blocks: int) -> dict[str, list[float]]:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=f"{collector}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("benchmark")
    producer = Producer(redis_url=redis_url, max_queue_length=10_000_000)
    module = sys.modules["opentelemetry.trace"]

    def block(call: Callable[[], object]) -> float:
        started = time.perf_counter()
        for _ in range(BLOCK):
            call()
        return (time.perf_counter() - started) / BLOCK * 1e6

    def plain() -> object:
        return producer.track("42", "seen", DATA)

    def absent() -> float:
        # What a process sees that never imported OpenTelemetry.
        del sys.modules["opentelemetry.trace"]
        try:
            return block(plain)
        finally:
            sys.modules["opentelemetry.trace"] = module

    def not_sampled() -> float:
        with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 2, True))):
            return with_sdk()

    def with_sdk() -> float:
        trace._TRACER_PROVIDER = provider
        try:
            return block(plain)
        finally:
            trace._TRACER_PROVIDER = None

    def in_a_request() -> float:
        with tracer.start_as_current_span("request"):
            return with_sdk()

    variants = {
        "OpenTelemetry absent": absent,
        "no SDK": lambda: block(plain),
        "not sampled": not_sampled,
        "every call traced": in_a_request,
    }
    measured: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(blocks):
        for name in variants if number % 2 == 0 else reversed(variants):
            measured[name].append(variants[name]())
            provider.force_flush()
    producer.close()
    provider.shutdown()
    return measured


def _deliveries(
    stack: TracedStack, collector: str, runs: int, jobs: int, pool: str
) -> dict[str, list[float]]:
    variants = {"OpenTelemetry absent": "", "every job traced": collector}
    measured: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(runs):
        for name in variants if number % 2 == 0 else reversed(variants):
            stack.fresh(SHARDS)
            stack.collector = variants[name]
            with stack.workers(1, pool=pool, concurrency=CONCURRENCY) as pids:
                result = feed_and_wait(stack, "events", jobs, pids, name)
            measured[name].append(result.delivered_per_s)
            click.echo(f"{name}: {result.delivered_per_s:,.0f} jobs/s")
    stack.collector = ""
    return measured


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
