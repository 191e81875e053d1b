"""A dead letter that no parser takes breaks no command.

It is listed, shown, exported, repaired and discarded.
"""

import json
from pathlib import Path

import pytest

from tests.support import hostile_dead_letters
from tests.support.command_line import CommandLine
from tests.support.harness import Harness

#: What can be read as a document. Of the others the text is shown.
READABLE = {"an empty object", "a NUL", "wrong types"}


@pytest.fixture
def letters(harness: Harness) -> dict[str, str]:
    return hostile_dead_letters.write(harness.engine)


def test_all_are_listed_and_exported(
    harness: Harness, run: CommandLine, letters: dict[str, str], tmp_path: Path
) -> None:
    assert run("dead-letters", "list", "--limit", "100").code == 0
    listed = run("dead-letters", "list", "--limit", "100", "--json").json
    found = {letter["id"]: letter for letter in listed["dead_letters"]}
    for name, id in letters.items():
        assert (found[id]["document"] is not None) == (name in READABLE), name
        if name in hostile_dead_letters.BODIES and name not in READABLE:
            assert found[id]["raw"] == hostile_dead_letters.BODIES[name]
    file = tmp_path / "letters.jsonl"
    assert run("dead-letters", "export", "--output", str(file)).code == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["dead_letter"]["id"] for line in lines} == set(letters.values())
    imported = run(
        "import", str(file), "--dry-run", "--yes", "--rejects", str(tmp_path / "rejects.jsonl")
    )
    assert "Traceback" not in imported.err


def test_each_is_shown(harness: Harness, run: CommandLine, letters: dict[str, str]) -> None:
    for name, id in letters.items():
        shown = run("dead-letters", "show", id)
        assert shown.code == 0, name
        # A megabyte is not shown in full.
        assert len(shown.out) < 40_000, name
        assert run("dead-letters", "show", id, "--json").json["id"] == id


def test_none_is_replayed_as_it_is_and_each_says_why(
    harness: Harness, run: CommandLine, letters: dict[str, str]
) -> None:
    done = run("replay", "--dry-run", "--json")
    assert {refused["id"] for refused in done.json["refused"]} == set(letters.values())
    for name, id in letters.items():
        for repair in (
            ["--set", "attributes.a=1"],
            ["--unset", "attributes.a[5].b"],
            ["--set", f"a={'[' * 2_000}"],
        ):
            answer = run("replay", "--id", id, "--yes", *repair)
            assert answer.code == 1, name
            assert "Traceback" not in answer.err


def test_each_is_repaired_with_its_own_document(
    harness: Harness, run: CommandLine, letters: dict[str, str], tmp_path: Path
) -> None:
    document = tmp_path / "document.json"
    document.write_text(
        '{"type":"person","action":"event","identifiers":{"id":"42"},"name":"repaired"}'
    )
    for name, id in letters.items():
        done = run(
            "replay", "--id", id, "--edit", "--yes", "--even-if-newer", EDITOR=f"cp {document}"
        )
        assert done.code == 0, (name, done.err)
    assert harness.backlog_size() == len(letters)


def test_each_is_discarded(harness: Harness, run: CommandLine, letters: dict[str, str]) -> None:
    assert run("dead-letters", "discard", "--yes").code == 0
    assert not harness.dead_ids()
