"""``trackrelay plan``: check, python, import and docs, as a user has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from trackrelay.plan import load_plan

PLAN = """\
plan: 1
name: shop
events:
  order_completed:
    properties: {total: {type: number}}
    required: [total]
"""

run = CommandLine({"TRACKRELAY_PLAN": ""})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trackrelay-plan.yaml").write_text(PLAN)
    return tmp_path


def test_a_plan_is_found_by_its_usual_name_or_by_the_setting(folder: Path) -> None:
    assert run("plan", "check").out.startswith("trackrelay-plan.yaml: shop is a valid plan")
    (folder / "other.yaml").write_text("plan: 1\nname: other")
    answer = run("plan", "check", TRACKRELAY_PLAN="other.yaml")
    assert answer.out.startswith("other.yaml: other is a valid plan with 0 events")


def test_each_problem_of_a_file_is_a_line_on_stderr(folder: Path) -> None:
    (folder / "trackrelay-plan.yaml").write_text(f"{PLAN}nmae: x\nenforcement: strict\n")
    answer = run("plan", "check")
    assert answer.code == 1
    assert [line.split(" ")[0] for line in answer.lines] == [
        "trackrelay-plan.yaml:7:",
        "trackrelay-plan.yaml:8:",
    ]
    problems = run("plan", "check", "--json").json["problems"]
    assert [each["line"] for each in problems] == [7, 8]


def test_a_file_that_is_not_there_is_one_line() -> None:
    assert "none.yaml: cannot be read" in run("plan", "check", "none.yaml").only_line()


def test_a_breaking_change_fails_and_an_additive_one_does_not() -> None:
    old = PLAN.replace("required: [total]", "required: []")
    answer = run("plan", "check", "--against", "-", input=old)
    assert answer.code == 1
    assert "breaking  events.order_completed.total is required now" in answer.out
    assert run("plan", "check", "--against", "-", "--allow-breaking", input=old).code == 0
    document = run("plan", "check", "--against", "-", "--json", input=old)
    assert document.code == 1
    assert document.json["changes"][0]["breaking"]
    assert run("plan", "check", "--against", "-", input="plan: 1\nname: shop").code == 0


def test_a_typed_module_that_is_older_than_the_plan_fails_in_ci(folder: Path) -> None:
    assert run("plan", "python", "-o", "events.py").code == 0
    assert run("plan", "python", "-o", "events.py", "--check").code == 0
    (folder / "trackrelay-plan.yaml").write_text(PLAN.replace("total", "sum"))
    assert (
        "is not what the plan says"
        in run("plan", "python", "-o", "events.py", "--check").only_line()
    )
    assert "is not what" in run("plan", "python", "-o", "none.py", "--check").only_line()
    assert run("plan", "python", "--check").code == 2


def test_an_export_becomes_a_plan_and_stderr_says_what_was_left_out(folder: Path) -> None:
    schema = {
        "properties": {"properties": {"properties": {"n": {"type": "number", "$ref": "#/x"}}}}
    }
    export = {"name": "Kicks", "rules": {"events": [{"name": "Seen", "rules": schema}]}}
    (folder / "export.json").write_text(json.dumps(export))
    answer = run("plan", "import", "export.json", "-o", "new.yaml", "--name", "imported")
    assert answer.code == 0
    assert "left out: $ref of events.Seen.n" in answer.err
    assert load_plan(folder / "new.yaml").events["Seen"].properties["n"].types == ("number",)
    assert "is not JSON" in run("plan", "import", "trackrelay-plan.yaml").only_line()


def test_what_an_export_has_and_a_plan_has_not_is_named_by_line(folder: Path) -> None:
    schema = {"properties": {"properties": {"properties": {"n": {"pattern": "(?!x)y"}}}}}
    export = {"name": "Kicks", "rules": {"events": [{"name": "Seen", "rules": schema}]}}
    answer = run("plan", "import", "-", input=json.dumps(export))
    assert answer.code == 1
    assert answer.lines[0] == "mend by hand what has no equal here:"
    assert answer.lines[1].startswith("the output:")


def test_the_page_is_html_or_markdown(folder: Path) -> None:
    assert run("plan", "docs").out.startswith("<!DOCTYPE html>")
    assert run("plan", "docs", "--markdown").out.startswith("# shop: tracking plan")
    assert "cannot be written" in run("plan", "docs", "-o", "none/page.html").only_line()
    (folder / "folder").mkdir()
    assert "cannot be written" in run("plan", "docs", "-o", "folder").only_line()
    assert {each.name for each in folder.iterdir()} == {"folder", "trackrelay-plan.yaml"}


def test_a_wrong_subcommand_is_answered_with_a_similar_one() -> None:
    answer = run("plan", "chek")
    assert answer.code == 2
    assert "Did you mean 'check'?" in answer.err
