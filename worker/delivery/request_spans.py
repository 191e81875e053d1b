"""The span of a request to the Track API: what it says, and never a payload or a person."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from trackrelay.transport.answers import Answer, NoAnswer
from trackrelay.worker.storage.stored_job import Job
from trackrelay.worker.telemetry.work_spans import Work, WorkSpan, work_span
from trackrelay.worker.track_api.request_builder import Request
from trackrelay.worker.track_api.responses import Accepted, Classification, Refused


def request_span(request: Request, jobs: Sequence[Job], shard: int, base_url: str) -> WorkSpan:
    """Return the span of ``request``, which carries ``jobs``."""
    work = Work(
        name=f"deliver {jobs[0].operation}" if len(jobs) == 1 else "deliver batch",
        kind="CLIENT",
        size=len(jobs),
        job_id=jobs[0].id,
        attributes={
            "messaging.operation.name": "deliver",
            "messaging.operation.type": "process",
            "messaging.destination.name": jobs[0].lane,
            "trackrelay.shard": shard,
            "trackrelay.family": str(jobs[0].family),
            "http.request.method": "POST",
            "http.request.body.size": len(request.body),
            "url.template": endpoint_of(request),
            "server.address": urlsplit(base_url).hostname or "",
        },
    )
    return work_span(work, [job.trace for job in jobs])


def note_response(
    span: WorkSpan, response: Classification, answer: Answer | NoAnswer, size: int
) -> None:
    """Add to the span of a request what became of its jobs.

    Args:
        span: of the request.
        response: what the answer means.
        answer: what came back.
        size: how many jobs the request carried.
    """
    status = answer.status if isinstance(answer, Answer) else None
    span.answered(status)
    match response:
        case Accepted(refused):
            span.note("jobs", delivered=size - len(refused), rejected=len(refused))
            return
        case Refused() if size == 1:
            span.note("jobs", rejected=1)
        case Refused():
            # They are sent again, in smaller requests with spans of their own.
            span.note("jobs", refused_together=size)
        case _:
            span.note("jobs", deferred=size)
    span.failed("no_answer" if status is None else str(status))


def endpoint_of(request: Request) -> str:
    """Return the path of a request without what may name a person or a delivery."""
    if request.kind != "v1":
        return request.path
    parts = request.path.partition("?")[0].split("/")
    if parts[1] == "unsubscribe":
        return "/unsubscribe/…"
    return "/".join("…" if index == 4 and part else part for index, part in enumerate(parts))
