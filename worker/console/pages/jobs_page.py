"""Find jobs by id, idempotency key, person or key, and see what happened to one."""

from __future__ import annotations

import json
import time

from starlette.responses import Response

from trackrelay.configuration.console_values import Role
from trackrelay.operations.json_values import NotJsonError, decode_json
from trackrelay.operations.keys import is_private
from trackrelay.worker.cli.find.job_finder import JobFinder
from trackrelay.worker.cli.find.job_query import (
    FoundJob,
    Query,
    group_by_job,
    limited,
    parse_query,
)
from trackrelay.worker.cli.find.job_render import job_result
from trackrelay.worker.console.job_timeline import TONES, timeline
from trackrelay.worker.console.page import Page, get, post
from trackrelay.worker.console.page_request import BadRequestError, NotFoundError, PageRequest
from trackrelay.worker.console.search_text import parse_search
from trackrelay.worker.reasons import Act
from trackrelay.worker.storage.queries import job_search
from trackrelay.worker.storage.queries.job_search import Match

#: Entries of the streams, and rows of the outbox, that a page reads.
MAX_ENTRIES = 20_000
LIMIT, MAX_LIMIT = 50, 500


def show(page: PageRequest) -> Response:
    """Show the search, and what it found."""
    queries = _queries(page)
    limit = page.number("limit", LIMIT, 1, MAX_LIMIT)
    jobs, problems, remarks, totals = _find(page, queries, limit) if queries else ([], [], [], {})
    if len(jobs) == 1 and not problems and not page.is_htmx and queries[0].id:
        return page.redirect(f"/jobs/{jobs[0].id}")
    now = time.time()
    return page.render(
        "jobs.html",
        queries=queries,
        rows=[(job, job_result(job, now).plain) for job in limited(jobs, limit)],
        more=len(jobs) > limit and limit < MAX_LIMIT,
        limit=limit,
        max_limit=MAX_LIMIT,
        problems=problems,
        remarks=remarks,
        totals=totals,
        tones=TONES,
    )


def search(page: PageRequest) -> Response:
    """Send the browser to what it looks for, under an address that names nobody."""
    text = page.field("text")
    if not text:
        return page.redirect("/jobs")
    queries = parse_search(text)
    query = queries[0]
    if query.id:
        return page.redirect(f"/jobs/{query.id}")
    if query.key:
        key = page.stores.hasher().stored(query.key) if is_private(query.key) else query.key
        return page.redirect("/jobs", key=key)
    # It may be both: an idempotency key, or a person's id.
    return page.redirect("/jobs", text=text)


def _queries(page: PageRequest) -> list[Query]:
    if key := page.param("key"):
        return [parse_query(None, None, None, key)]
    if text := page.param("text"):
        queries = parse_search(text)
        if any(query.key and is_private(query.key) for query in queries):
            raise BadRequestError("Use the search: an address must not name a person.")
        return queries
    return []


def _find(
    page: PageRequest, queries: list[Query], limit: int
) -> tuple[list[FoundJob], list[str], list[str], dict[str, int]]:
    finders = [JobFinder(page.stores, query) for query in queries]
    matches: dict[tuple[str, str], Match] = {}
    totals: dict[str, int] = {}
    for finder in finders:
        finder.run(MAX_ENTRIES, limit)
        matches |= {(each.place, each.id): each for each in finder.matches}
        for place, number in finder.totals().items():
            totals[place] = totals.get(place, 0) + number
    problems = list(dict.fromkeys(each for finder in finders for each in finder.problems))
    return group_by_job(matches.values()), problems, _remarks(finders), totals


def _remarks(finders: list[JobFinder]) -> list[str]:
    left_out = max((finder.entries - finder.entries_read for finder in finders), default=0)
    remarks = []
    if left_out > 0:
        remarks.append(
            f"{left_out:,} entries of the queue were not read: "
            "`trackrelay find --scan 0` reads all."
        )
    if not all(finder.outbox_is_complete for finder in finders):
        remarks.append("The outbox holds more jobs than were read.")
    return remarks


def show_job(page: PageRequest) -> Response:
    """Show what happened to one job."""
    query = parse_query(page.path_value("job_id"), None, None, None)
    finder = JobFinder(page.stores, query)
    finder.run(MAX_ENTRIES, LIMIT)
    jobs = group_by_job(finder.matches)
    job = next((each for each in jobs if each.id == query.id), jobs[0] if jobs else None)
    if job is None:
        if finder.problems:
            return page.render("problem.html", status=503, text="; ".join(finder.problems))
        text = finder.nothing_found()
        remarks = " ".join(_remarks([finder]))
        raise NotFoundError(f"{text[:1].upper()}{text[1:]}. {remarks}".strip())
    now = time.time()
    is_verified = page.stores.settings.verify != "off"
    return page.render(
        "job.html",
        job=job,
        others=[each for each in jobs if each is not job],
        steps=timeline(job, finder.verdicts.get(job.id, []), now, is_verified=is_verified),
        problems=finder.problems,
        remarks=_remarks([finder]),
        tones=TONES,
        has_content=any(each.place in ("backlog", "dead_letters") for each in job.matches),
        content=_content(page, job) if page.param("content") else None,
        now_s=now,
    )


def _content(page: PageRequest, job: FoundJob) -> str | None:
    """Return the job's document, and record that somebody saw it."""
    page.require(Role.VIEW_PAYLOADS)
    with page.stores.engine.begin() as connection:
        body = job_search.content(connection, job.id)
        if body is None:
            return None
        page.record(connection, Act.PAYLOAD_SEEN, job.id)
    try:
        return json.dumps(decode_json(body), indent=2, ensure_ascii=False)
    except NotJsonError:
        return body.decode(errors="replace")


PAGE = Page(
    title="Jobs",
    paths=(
        get("/jobs", show),
        get("/jobs/{job_id}", show_job),
        post("/jobs", search, role=Role.VIEW),
    ),
)
