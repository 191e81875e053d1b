"""What people read about the entries that a long history leaves out."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from trackrelay.worker.cli.dead_letters import letter_details, letter_render
from trackrelay.worker.cli.find.job_query import FoundJob
from trackrelay.worker.cli.find.job_render import render_jobs
from trackrelay.worker.console.job_timeline import timeline
from trackrelay.worker.storage.dead_letter_queries import DeadLetter
from trackrelay.worker.storage.letter_history import FIRST, MAX_ENTRIES, NEWEST, left_out_text
from trackrelay.worker.storage.queries.job_search import Match

GROWTH = Path(__file__).parents[4] / "docs" / "explanation" / "growth.md"
NOW = 1_800_000_000.0
HISTORY: tuple[dict[str, Any], ...] = (
    {"at": NOW - 9000, "what": "rejected", "status": 400, "error": "no such plan"},
    {"at": NOW - 700, "what": "left_out", "entries": 1234, "died_at": NOW - 8000},
    {"at": NOW - 600, "what": "replayed", "who": "ada", "died_at": NOW - 700},
    {"at": NOW - 500, "what": "rejected", "status": 400, "error": "no such plan"},
)
SAYS = "1234 entries; the history keeps the first 20 and the newest 80"
LETTER = DeadLetter(
    id="J", operation="person.event", keys=("id:42",), lane="live", body=b"{}", raw=None,
    reason="rejected", error="no such plan", field=None, status=400, attempts=9, state="open",
    source=None, idempotency_key=None, trace=None, enqueued_at=NOW - 9500, died_at=NOW - 500,
    updated_at=NOW - 500, history=HISTORY, version="1",
)  # fmt: skip


def printed(renderable: Any) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(renderable)
    return " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


def test_other_entries_say_nothing_about_it() -> None:
    assert [left_out_text(each) for each in HISTORY] == ["", SAYS, "", ""]
    assert left_out_text({"what": None}) == ""


def test_the_command_line_says_how_many_entries_were_left_out() -> None:
    assert f"left out {SAYS}" in printed(letter_details._history(LETTER))
    marker = letter_render.letter_as_json(LETTER)["history"][1]
    assert (marker["what"], marker["entries"], marker["at"][:4]) == ("left_out", 1234, "2027")


@pytest.mark.parametrize("form", ["find", "console"])
def test_the_places_of_a_job_say_it_too(form: str) -> None:
    match = Match(
        place="dead_letters", id="J", operation="person.event", keys=("id:42",),
        enqueued_at=NOW - 9500, at=NOW - 500, reason="rejected", state="open", history=HISTORY,
    )  # fmt: skip
    job = FoundJob((match,))
    if form == "find":
        text = printed(render_jobs("J", [job], {}, NOW, limit=5, verdicts={}))
        assert f"left out: {SAYS}" in text
        assert "replayed: by ada" in text
    else:
        (step,) = (
            step for step in timeline(job, (), NOW, is_verified=True) if step.title == "Left out"
        )
        assert step.text == SAYS


def test_a_letter_first_died_when_an_entry_that_was_left_out_says_so() -> None:
    assert LETTER.first_died_at == NOW - 8000


def test_the_page_about_growth_names_the_bound() -> None:
    page = GROWTH.read_text()
    assert f"the first {FIRST} entries and the newest {NEWEST}" in page
    assert f"at most {MAX_ENTRIES} entries" in page
