"""The name that was probably meant by one that is not known."""

from __future__ import annotations

from pathlib import Path

import pytest

from trackrelay.suggestion import closest_name, did_you_mean

KNOWN = ("TRACKRELAY_SOURCE", "TRACKRELAY_SHARDS", "name")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TRACKRELAY_SUORCE", "TRACKRELAY_SOURCE"),
        ("trackrelay_source", "TRACKRELAY_SOURCE"),
        ("NAEM", "name"),
        ("'nme'", "name"),
        ("something else", None),
        ("", None),
        (42, None),
        ("name" * 1_000_000, None),
    ],
)
def test_the_closest_name_is_found_whatever_its_case(name: object, expected: str | None) -> None:
    assert closest_name(name, KNOWN) == expected


def test_a_higher_similarity_suggests_less() -> None:
    assert closest_name("nme", KNOWN, similarity=0.9) is None


def test_a_name_that_resembles_none_gets_the_other_hint() -> None:
    assert did_you_mean("nme", KNOWN) == "did you mean 'name'?"
    assert did_you_mean("x", KNOWN, otherwise="there are 3") == "there are 3"
    assert did_you_mean("x", KNOWN) == ""


def test_no_other_module_compares_names_by_itself() -> None:
    root = Path(__file__).parents[3]
    found = [
        path.name
        for folder in ("producers", "worker", "sandbox")
        for path in (root / folder).rglob("*.py")
        if "get_close_matches" in path.read_text()
    ]
    assert found == ["suggestion.py"]
