"""A person: our jobs, what Customer.io has, and where the two disagree."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from click import UsageError
from starlette.responses import Response

from trackrelay.configuration.console_values import Role
from trackrelay.operations.keys import is_private
from trackrelay.operations.refs import Person
from trackrelay.worker.cli.find.job_query import FoundJob
from trackrelay.worker.cli.find.job_render import job_result
from trackrelay.worker.cli.person.customerio_side import CustomerioSide, read_customerio
from trackrelay.worker.cli.person.disagreements import disagreements
from trackrelay.worker.cli.person.our_side import OurSide, keys_of, read_ours
from trackrelay.worker.cli.reads.activity_text import activity_details
from trackrelay.worker.cli.reads.read_options import person_named
from trackrelay.worker.cli.verification.verdict_items import item_text
from trackrelay.worker.console.job_timeline import TONES
from trackrelay.worker.console.page import Page, get, post
from trackrelay.worker.console.page_request import BadRequestError, PageRequest
from trackrelay.worker.console.search_text import with_kind
from trackrelay.worker.reasons import Act

#: Jobs, and activities, that are listed.
LIMIT = 30
_OPEN = ("unrelayed", "queued", "waiting", "replaying", "dead")


@dataclass(frozen=True, slots=True)
class PersonSearch:
    """Whom a request asks for."""

    text: str
    person: Person


def show(page: PageRequest) -> Response:
    """Show the form, or the person whom the address names; it never names an email or a phone."""
    who = page.param("who")
    if not who:
        return page.render("person.html", search=None)
    search = _search(who)
    if is_private(search.person.key):
        raise BadRequestError("Use the search: an address must not name a person.")
    return _ours(page, search)


def find(page: PageRequest) -> Response:
    """Show the person whom the form names."""
    search = _search(page.field("who"))
    if not is_private(search.person.key):
        return page.redirect("/person", who=search.person.key)
    return _ours(page, search)


def _search(text: str) -> PersonSearch:
    if not text:
        raise BadRequestError("Name a person: an id, an email address or a phone number.")
    try:
        return PersonSearch(text, person_named(with_kind(text), "Person"))
    except UsageError as error:
        raise BadRequestError(error.message) from None


def _ours(page: PageRequest, search: PersonSearch) -> Response:
    keys = [search.person.key]
    return page.render(
        "person.html",
        search=search,
        has_key=bool(page.stores.settings.app_api_key),
        **_our_values(page, read_ours(page.stores, keys), keys),
    )


def _our_values(page: PageRequest, ours: OurSide, keys: list[str]) -> dict[str, Any]:
    now = time.time()
    shown = _to_show(ours.jobs)
    hasher = page.stores.hasher()
    return {
        "keys": [hasher.stored(key) for key in keys],
        "rows": [(job, job_result(job, now).plain) for job in shown],
        "left": len(ours.jobs) - len(shown),
        "totals": ours.totals,
        "verdicts": [(each, item_text(each.item)) for each in ours.verdicts],
        "problems": ours.problems,
        "remarks": ours.remarks,
        "tones": TONES,
    }


def _to_show(jobs: list[FoundJob]) -> list[FoundJob]:
    # What waits or died comes before what was delivered: it is what somebody looks for.
    waiting = [job for job in jobs if job.where in _OPEN]
    settled = [job for job in jobs if job.where not in _OPEN]
    return [*waiting[:LIMIT], *settled[: max(0, LIMIT - len(waiting))]]


def compare(page: PageRequest) -> Response:
    """Ask Customer.io, and return its side, with our side under all names of the person."""
    search = _search(page.field("who"))
    theirs = read_customerio(search.person, bool(page.stores.settings.app_api_key))
    keys = keys_of(search.person, theirs.profile)
    ours = read_ours(page.stores, keys)
    now = time.time()
    hasher = page.stores.hasher()
    with page.stores.engine.begin() as connection:
        page.record(connection, Act.PERSON_LOOKED_UP, hasher.stored(search.person.key))
    values: dict[str, Any] = {
        "search": search,
        "has_key": True,
        "theirs": theirs,
        "names": [hasher.stored(key) for key in keys],
        "disagreements": disagreements(search.person, ours.jobs, theirs, now),
        "is_known": theirs.is_known and not ours.problems and not theirs.problems,
        "activities": _activities(theirs),
        "limit": LIMIT,
    }
    if page.is_htmx:
        return page.render("person_customerio.html", **values)
    return page.render("person.html", **(values | _our_values(page, ours, keys)))


def _activities(theirs: CustomerioSide) -> list[tuple[Any, str]]:
    latest = sorted(theirs.activities or [], key=lambda each: each.timestamp, reverse=True)
    return [(each, activity_details(each)) for each in latest[:LIMIT]]


PAGE = Page(
    title="Person",
    paths=(
        get("/person", show),
        post("/person", find, role=Role.VIEW),
        post("/person/customerio", compare, role=Role.VIEW),
    ),
)
