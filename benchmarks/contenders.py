"""The contenders: the official client in a loop, in a Celery task per call, and its batch()."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import msgspec
import requests
from customerio import CustomerIO
from requests.adapters import HTTPAdapter

from .measured import Throughput
from .mixes import MIXES, events
from .stack import Meter, Stack, wait_for

BATCH_OPERATIONS = 1000
BATCH_BYTES = 490_000


class _PlainHttp(HTTPAdapter):
    """Plain HTTP for the official client, which uses https only."""

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        assert request.url is not None
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


def official_client(url: str, site_id: str, api_key: str) -> CustomerIO:
    """Return the official client, configured for the sandbox."""
    host, port = url.removeprefix("http://").split(":")
    client = CustomerIO(site_id, api_key, host=host, port=int(port))
    client.http.mount("https://", _PlainHttp())
    return client


def client_loop(stack: Stack, count: int) -> Throughput:
    """Measure one ``track()`` after another."""
    stack.fresh()
    client = official_client(stack.sandbox.url, stack.sandbox.site_id, stack.sandbox.api_key)
    documents = [msgspec.json.decode(operation.body) for operation in events(count)]
    with _timed(stack) as timed:
        for document in documents:
            client.track(
                document["identifiers"]["id"],
                document["name"],
                document["attributes"],
                id=document["id"],
            )
    return timed.throughput("official client, loop", "events", count)


def batch_loop(stack: Stack, mix: str, count: int, connections: int) -> Throughput:
    """Measure one ``batch()`` after another from memory: no queue, no ledger, no retry."""
    stack.fresh()
    batches = _batches([msgspec.json.decode(operation.body) for operation in MIXES[mix](count)])
    clients = [
        official_client(stack.sandbox.url, stack.sandbox.site_id, stack.sandbox.api_key)
        for _ in range(connections)
    ]

    def send(number: int) -> None:
        for batch in batches[number::connections]:
            clients[number].batch(batch)

    with _timed(stack) as timed, ThreadPoolExecutor(connections) as pool:
        list(pool.map(send, range(connections)))
    plural = "s" if connections > 1 else ""
    return timed.throughput(f"official batch(), {connections} connection{plural}", mix, count)


def celery_per_call(stack: Stack, count: int, *, pool: str, concurrency: int) -> Throughput:
    """Measure a Celery task for each call."""
    stack.fresh()
    from .celery_task import track

    track.app.conf.broker_url = stack.valkey.url
    documents = [msgspec.json.decode(operation.body) for operation in events(count)]
    command = [
        "celery",
        "-A",
        "benchmarks.celery_task",
        "worker",
        f"--pool={pool}",
        f"--concurrency={concurrency}",
    ]
    with (
        stack.process("celery", [*command, "-l", "info"], ready=b" ready.") as child,
        _timed(stack, child.pid) as timed,
    ):
        for document in documents:
            track.delay(
                document["identifiers"]["id"],
                document["name"],
                document["attributes"],
                document["id"],
            )
        wait_for(lambda: stack.effects_count() >= count, 300, poll_s=0.1)
    return timed.throughput(f"Celery task a call, {pool} {concurrency}", "events", count)


class _Timed:
    def __init__(self, stack: Stack, pids: list[int]) -> None:
        self._stack = stack
        self._meter = Meter(pids)
        self._sandbox = Meter([stack.sandbox.pid or 0])
        self._requests = stack.sandbox.client.summary()["requests"]
        self._started = time.perf_counter()
        self._elapsed = 0.0

    def stop(self) -> None:
        self._elapsed = time.perf_counter() - self._started
        self._usage, self._sandbox_usage = self._meter.stop(), self._sandbox.stop()

    def throughput(self, name: str, mix: str, count: int) -> Throughput:
        requests_made = self._stack.sandbox.client.summary()["requests"] - self._requests
        sandbox_cores = self._sandbox_usage.cpu_s / self._elapsed
        return Throughput.of(
            name, mix, count, self._elapsed, self._usage, requests_made, sandbox_cores
        )


@contextmanager
def _timed(stack: Stack, *pids: int) -> Iterator[_Timed]:
    timed = _Timed(stack, [os.getpid(), *pids])
    yield timed
    timed.stop()


def _batches(documents: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    batches: list[list[dict[str, Any]]] = [[]]
    size = 0
    for document in documents:
        length = (
            len(msgspec.json.encode(document)) + 60
        )  # the blanks that the client's encoder adds
        if len(batches[-1]) == BATCH_OPERATIONS or size + length > BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(document)
        size += length
    return batches
