"""Dead letters: find them, read one, repair it, replay or discard one or many."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

from starlette.responses import Response

from trackrelay.configuration.console_values import Role
from trackrelay.operations.json_values import NotJsonError, decode_json
from trackrelay.operations.keys import is_private
from trackrelay.worker.cli.dead_letters.letter_render import campaigns, found_text
from trackrelay.worker.cli.dead_letters.letter_replay import TEMPLATE, make_replayer
from trackrelay.worker.console import letter_runs
from trackrelay.worker.console.letter_filters import (
    STATES,
    as_fields,
    as_parameters,
    filters_of_address,
    filters_of_form,
)
from trackrelay.worker.console.letter_runs import MAX_SELECTED, LetterRun, What
from trackrelay.worker.console.page import Page, get, live, post
from trackrelay.worker.console.page_request import BadRequestError, NotFoundError, PageRequest
from trackrelay.worker.console.search_text import parse_search
from trackrelay.worker.dead_letters.eligibility import ReplayPolicy, without_options
from trackrelay.worker.dead_letters.patch import Patch, changes
from trackrelay.worker.dead_letters.replay_batches import Tally
from trackrelay.worker.reasons import Act, DeathReason
from trackrelay.worker.storage import dead_letter_queries
from trackrelay.worker.storage.dead_letter_queries import Count, DeadLetter, Filters, State

LIMIT, MAX_LIMIT = 50, 500
#: Characters of a document that the form of a repair takes.
MAX_DOCUMENT = 1_000_000
REPLAYABLE: frozenset[State] = frozenset({"open", "discarded"})
_OPEN: State = "open"


def show(page: PageRequest) -> Response:
    """List dead letters, the latest first, and how many there are of each kind."""
    filters = filters_of_address(page)
    limit = page.number("limit", LIMIT, 1, MAX_LIMIT)
    with page.stores.engine.connect() as connection:
        counts = dead_letter_queries.counts(connection, filters)
        ids = dead_letter_queries.newest_ids(connection, filters, limit)
        letters = dead_letter_queries.load(connection, ids)
    total = sum(each.letters for each in counts)
    return page.render(
        "dead_letters.html",
        filters=filters,
        narrowed=bool(as_parameters(filters).keys() - {"states"}),
        letters=letters,
        groups=_groups(counts),
        total=total,
        max_limit=MAX_LIMIT if len(letters) < min(total, MAX_LIMIT) else None,
        states=STATES,
        reasons=list(DeathReason),
        parameters=as_parameters(filters),
    )


def _groups(counts: list[Count]) -> list[tuple[tuple[str, str], int]]:
    groups: Counter[tuple[str, str]] = Counter()
    for each in counts:
        groups[each.reason, each.operation] += each.letters
    return groups.most_common()


def search(page: PageRequest) -> Response:
    """Send the browser to a person's dead letters, under an address that names nobody."""
    text = page.field("text")
    if not text:
        return page.redirect("/dead-letters")
    (query, *_) = parse_search(text)
    if query.id:
        return page.redirect(f"/dead-letters/{query.id}")
    if not query.key:
        raise BadRequestError(
            "Write a dead letter's id or a person: 42, ada@example.com, anonymous:…"
        )
    key = page.stores.hasher().stored(query.key) if is_private(query.key) else query.key
    return page.redirect("/dead-letters", keys=key, states=list(STATES))


def show_letter(page: PageRequest) -> Response:
    """Show one dead letter, and what can be done with it."""
    letter = _letter(page)
    content = None
    if page.param("content"):
        page.require(Role.VIEW_PAYLOADS)
        content = _content(letter)
        with page.stores.engine.begin() as connection:
            page.record(connection, Act.PAYLOAD_SEEN, letter.id)
    return page.render(
        "dead_letter.html",
        letter=letter,
        reason=_explanation(letter.reason),
        content=content,
        is_replayable=letter.state in REPLAYABLE,
    )


def _letter(page: PageRequest) -> DeadLetter:
    id = page.path_value("job_id")
    with page.stores.engine.connect() as connection:
        found = dead_letter_queries.load(connection, [id])
    if not found:
        raise NotFoundError(f"There is no dead letter {id}.")
    return found[0]


def _explanation(reason: str) -> str:
    return next((each.explanation for each in DeathReason if each == reason), "")


def _content(letter: DeadLetter) -> str:
    if letter.document is not None:
        return json.dumps(letter.document, indent=2, ensure_ascii=False)
    return found_text(letter) if letter.found is not None else "It has no content any more."


# -- replay and discard


def ask(page: PageRequest) -> Response:
    """Show what a replay or a discard would do. Changes nothing."""
    what = _what(page.param("what"))
    filters = filters_of_address(page)
    ids = _selected(page, filters)
    plan = None
    if what == "replay":
        plan = Tally()
        replayer = make_replayer(page.stores, who=page.who)
        policy = ReplayPolicy(even_if_newer=bool(page.param("even_if_newer")), states=REPLAYABLE)
        for outcome in replayer.plan(ids, policy):
            plan.add(outcome)
    # A letter that dies from now on was not in the list that the user saw.
    fields = [each for each in as_fields(filters) if each[0] != "until"]
    return page.render(
        "dead_letters_ask.html",
        what=what,
        selected=len(ids),
        max_selected=MAX_SELECTED,
        plan=plan,
        refused=[
            (each.id, each.operation, without_options(each.why))
            for each in (plan.refused[: letter_runs.MAX_LISTED] if plan else ())
        ],
        campaigns=campaigns(plan.younger_events, plan.older_events) if plan else "",
        fields=[*fields, ("until", repr(filters.until or time.time()))],
        even_if_newer=page.param("even_if_newer"),
        parameters=as_parameters(filters),
    )


def act(page: PageRequest) -> Response:
    """Replay or discard what was selected, in a thread; lead to its progress."""
    what = _what(page.field("what"))
    filters = filters_of_form(page)
    if filters.until is None:
        raise BadRequestError("until is missing: it says which dead letters you have seen.")
    ids = _selected(page, filters)
    if not ids:
        return page.redirect("/dead-letters", "Nothing matches any more.")
    policy = ReplayPolicy(even_if_newer=bool(page.field("even_if_newer")), states=REPLAYABLE)
    # Record it first: a run that is cut off has changed dead letters, too.
    done = Act.LETTERS_REPLAYED if what == "replay" else Act.LETTERS_DISCARDED
    with page.stores.engine.begin() as connection:
        page.record(connection, done, ids[0] if len(ids) == 1 else "", letters=len(ids))
    note = page.field("note", limit=500)
    run = LetterRun(page.stores.settings, page.who, note, what, ids, policy)
    return page.redirect(f"/dead-letters/runs/{run.start(page.stores.redis).id}")


def _what(text: str) -> What:
    if text == "replay":
        return "replay"
    if text == "discard":
        return "discard"
    raise BadRequestError("what must be replay or discard.")


def _selected(page: PageRequest, filters: Filters) -> list[str]:
    with page.stores.engine.connect() as connection:
        return dead_letter_queries.ids(connection, filters, MAX_SELECTED)


def show_run(page: PageRequest) -> Response:
    """Show how far a replay or a discard has come."""
    return page.render("dead_letters_run.html", **_run(page, page.path_value("run")))


def renew_run(page: PageRequest) -> str:
    """Return the part of the page that shows the progress."""
    return page.text("dead_letters_progress.html", **_run(page, page.param("run")))


def _run(page: PageRequest, id: str) -> dict[str, Any]:
    run = letter_runs.read(page.stores.redis, id)
    if run is None:
        raise NotFoundError("There is no such run, or it was more than a day ago.")
    return {"run": run}


# -- repair


def edit(page: PageRequest) -> Response:
    """Show the form of a repair."""
    page.require(Role.VIEW_PAYLOADS)
    letter = _letter(page)
    with page.stores.engine.begin() as connection:
        page.record(connection, Act.PAYLOAD_SEEN, letter.id)
    before = TEMPLATE if letter.document is None else letter.document
    return _form(page, letter, json.dumps(before, indent=2, ensure_ascii=False))


def repair(page: PageRequest) -> Response:
    """Check a repair, show what it changes, and replay if that was asked for."""
    page.require(Role.VIEW_PAYLOADS)
    letter = _letter(page)
    # Browsers end the lines of a form with two characters.
    text = page.field("document", limit=MAX_DOCUMENT).replace("\r\n", "\n")
    try:
        document = decode_json(text)
    except NotJsonError as error:
        return _form(page, letter, text, error=f"This is not JSON: {error}")
    if not isinstance(document, dict):
        return _form(page, letter, text, error="The document must be a JSON object: {…}")
    if document == letter.document:
        return _form(page, letter, text, error="Nothing was changed.")
    policy = ReplayPolicy(
        repair=Patch(document=document),
        even_if_newer=bool(page.field("even_if_newer")),
        states=REPLAYABLE,
    )
    replayer = make_replayer(page.stores, page.field("note", limit=500), who=page.who)
    is_meant = page.field("do") == "replay"
    steps = replayer.replay if is_meant else replayer.plan
    tally = Tally()
    for outcome in steps([letter.id], policy):
        tally.add(outcome)
    if tally.refused:
        return _form(page, letter, text, error=without_options(tally.refused[0].why))
    if not is_meant:
        return _form(page, letter, text, found=list(changes(letter.document or {}, document)))
    with page.stores.engine.begin() as connection:
        page.record(connection, Act.LETTER_REPAIRED, letter.id)
    return page.redirect(f"/jobs/{letter.id}", "Repaired and replayed.")


def _form(page: PageRequest, letter: DeadLetter, text: str, **values: Any) -> Response:
    return page.render(
        "dead_letter_repair.html",
        letter=letter,
        document=text,
        note=page.field("note", limit=500),
        even_if_newer=page.field("even_if_newer"),
        error=values.get("error"),
        changes=values.get("found"),
    )


PAGE = Page(
    title="Dead letters",
    paths=(
        get("/dead-letters", show),
        get("/dead-letters/ask", ask, role=Role.OPERATE),
        get("/dead-letters/runs/{run}", show_run),
        get("/dead-letters/{job_id}", show_letter),
        get("/dead-letters/{job_id}/repair", edit, role=Role.OPERATE),
        post("/dead-letters/{job_id}/repair", repair),
        post("/dead-letters/search", search, role=Role.VIEW),
        post("/dead-letters/act", act),
        live("/live/letter-run", renew_run),
    ),
    badge=lambda snapshot: snapshot.postgres.dead(_OPEN) if snapshot.postgres else 0,
)
