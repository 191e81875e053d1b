"""The pictures in the guides are those that `python -m tests.support.screenshots --docs` makes."""

from __future__ import annotations

import json
import re

from tests.support.screenshots import DOCS, GUIDE_PICTURES, MAX_BYTES, SHOTS, WORDS
from tests.support.worker_process import ROOT

MADE = {each.file for each in GUIDE_PICTURES}


def test_each_picture_that_a_guide_names_is_made_and_each_that_is_made_is_shown() -> None:
    named = {
        name
        for page in (ROOT / "docs").rglob("*.md")
        for name in re.findall(r"_static/console/([\w.-]+)", page.read_text())
    }
    assert named == MADE
    assert {file.name for file in DOCS.glob("*.png")} == MADE
    assert json.loads(WORDS.read_text()).keys() == MADE
    assert {each.shot for each in GUIDE_PICTURES} <= {each.name for each in SHOTS}


def test_pictures_are_few_and_small() -> None:
    assert len(MADE) <= 10
    assert {file.name for file in DOCS.glob("*.png") if file.stat().st_size > MAX_BYTES} == set()
