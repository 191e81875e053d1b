"""With OpenTelemetry's instrumentation of Django, a call is in the trace of its request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import AsyncClient, Client
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.trace import SpanKind

from tests.support import django_project
from tests.support.fixtures.tracing_fixtures import Recorded
from trackrelay.django.models import OutboxRow
from trackrelay.queue.job import decode_entry

Queued = Callable[[], list[Any]]


@pytest.fixture(params=["queue", "outbox"])
def enqueued(
    request: pytest.FixtureRequest, shop_url: str, lite_url: str, queued: Queued, redis_url: str
) -> Iterator[Queued]:
    """The project, which enqueues after the commit or writes rows; returns what reads its jobs."""

    def rows() -> list[Any]:
        found = OutboxRow.objects.order_by("id")
        return [job for row in found for job in decode_entry(row.entry.encode())]

    outbox = {"OUTBOX": "default"} if request.param == "outbox" else {}
    with django_project.connected(REDIS_URL=redis_url, **outbox):
        yield rows if outbox else queued


@pytest.fixture
def instrumented(enqueued: Queued, recorded: Recorded) -> Iterator[Recorded]:
    """The project, as `opentelemetry-instrument` starts it."""
    instrumentor = DjangoInstrumentor()
    instrumentor.instrument()
    yield recorded
    instrumentor.uninstrument()


def traceparent(span: Any) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def check(recorded: Recorded, jobs: list[Any], calls: int) -> Any:
    """Return the request's span, of which each call's span is a child that a job carries."""
    spans = recorded.named("enqueue")
    (request,) = (span for span in recorded.spans if span not in spans)
    assert [span.parent for span in spans] == [request.get_span_context()] * calls
    assert {span.kind for span in spans} == {SpanKind.PRODUCER}
    assert sorted(job.trace for job in jobs) == sorted(map(traceparent, spans))
    named = {span.attributes["messaging.message.id"]: traceparent(span) for span in spans}
    assert {job.id: job.trace for job in jobs} == named
    assert "A-1" not in "".join(span.to_json() for span in spans)
    return request


def test_calls_in_a_transaction_and_in_its_commit_hooks_are_children_of_the_request(
    instrumented: Recorded, enqueued: Queued
) -> None:
    assert Client().get("/check-out/", {"hook": "tracks"}).status_code == 200
    request = check(instrumented, enqueued(), calls=6)
    assert (request.name, request.kind) == ("GET check-out/", SpanKind.SERVER)


def test_a_call_outside_a_transaction_is_one_too(instrumented: Recorded, enqueued: Queued) -> None:
    Client().get("/look/")
    check(instrumented, enqueued(), calls=1)


async def test_calls_of_an_asynchronous_view_are_children_of_its_span(
    recorded: Recorded, enqueued: Queued
) -> None:
    # OpenTelemetry traces requests of ASGI only with one more package of its own.
    with recorded.tracer.start_as_current_span("GET"):
        await AsyncClient().get("/check-out-async/")
        await AsyncClient().get("/look-async/")
    jobs = await enqueued_async(enqueued)
    check(recorded, jobs, calls=6)


async def enqueued_async(enqueued: Queued) -> list[Any]:
    from asgiref.sync import sync_to_async

    return await sync_to_async(enqueued)()
