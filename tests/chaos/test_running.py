"""A run that could not have found anything does not pass, and each column can show its fault."""

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from tests.chaos import __main__ as command_line
from tests.chaos import published
from tests.chaos.accounts import Accounts
from tests.chaos.metric_accounts import Line
from tests.chaos.running import Result, bound_s
from tests.chaos.scenario import SCENARIOS, Scenario
from tests.chaos.table import cells, rows, show_metrics

SCENARIO = Scenario(name="a-fault", what="something breaks", inject=lambda trial: None)


def result(accounts: Accounts | None = None, **changes: Any) -> Result:
    """A run in which everything was well."""
    described: dict[str, Any] = {"injected": 3, "wanted": 10, "calls": 12, "recovery_s": 1.0}
    return Result(
        SCENARIO, accounts or Accounts(jobs=10, arrived=10, steps=5), **(described | changes)
    )


def test_a_run_in_which_all_was_well_is_a_pass() -> None:
    assert result().good
    assert command_line.exit_code([result()]) == 0


@pytest.mark.parametrize(
    ("nothing", "message"),
    [
        ({"injected": 0}, "the fault never struck"),
        ({"calls": 9}, "only 9 of 10 calls were made"),
        ({"accounts": Accounts(arrived=10, steps=5)}, "no job was accepted"),
        ({"accounts": Accounts(jobs=10, steps=5)}, "nothing arrived"),
        ({"accounts": Accounts(jobs=10, arrived=10)}, "no key had two jobs"),
        ({"error": "TimeoutError: too slow"}, "too slow"),
    ],
)
def test_a_run_that_could_not_have_found_anything_is_an_error(
    nothing: dict[str, Any], message: str
) -> None:
    ran = result(**nothing)

    assert message in ran.problems[0]
    assert not ran.good
    assert command_line.exit_code([result(), ran]) == 1
    assert rows([ran])[0]["kept"] is False


def test_no_scenario_at_all_is_no_pass() -> None:
    assert command_line.exit_code([]) == 1


@pytest.mark.parametrize("column", ["lost", "duplicated", "out_of_order"])
def test_every_column_can_fail_the_run(column: str) -> None:
    ran = result(Accounts(jobs=10, arrived=10, steps=5, **{column: 2}))

    assert rows([ran])[0][column] == 2
    assert cells([result(), ran])[-1].count("2") == 1
    assert command_line.exit_code([ran]) == 1


def test_a_problem_that_is_in_no_column_fails_the_run() -> None:
    assert (
        command_line.exit_code([result(Accounts(jobs=10, arrived=10, steps=5, problems=["odd"]))])
        == 1
    )


def test_the_table_goes_between_the_markers_of_a_page_and_can_be_made_again(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n{published.BEGIN}\nold\n{published.END}\nafter\n")
    for jobs in (10, 1234):
        published.publish([result(Accounts(jobs=jobs, arrived=10, steps=5))], page, f"run {jobs}")

    text = page.read_text()
    assert text.startswith("# Before\n")
    assert text.endswith("\nafter\n")
    assert "| a-fault | something breaks | 1,234 | 3 | 0 | 0 | 0 | 1.0 |" in text
    assert "run 1234" in text
    assert "old" not in text
    assert "run 10\n" not in text


def test_a_run_of_some_scenarios_keeps_the_rows_of_the_others(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    old = [
        "`make chaos ARGS='--seed 1'`, a day.",
        "| fault | what is done | jobs |",
        "| --- | --- | ---: |",
        "| redis-kill | killed | 1,000 | 2 | 0 | 0 | 0 | 1.0 | 0 / 0 / 0 |",
        "| a-fault | it was otherwise | 7 | 7 | 7 | 7 | 7 | 1.0 | 0 / 0 / 0 |",
        "| gone-fault | there is none | 7 | 7 | 7 | 7 | 7 | 1.0 | 0 / 0 / 0 |",
        "| all | | 1,014 | 16 | 14 | 14 | 14 | | |",
        "",
        "- **redis-kill BROKEN**: it was slow",
        "- a-fault: it was otherwise",
    ]
    page.write_text("\n".join([published.BEGIN, *old, published.END]))
    earlier = published.read(page)
    ran = [result(Accounts(jobs=234, arrived=10, steps=5))]
    for _ in range(2):
        published.publish(ran, page, "`make chaos ARGS='--only a-fault'`", earlier)

    text = page.read_text()
    assert text.count("`make chaos ARGS=") == 2
    assert text.count("| redis-kill | killed | 1,000 | 2 |") == 1
    assert text.count("| a-fault | something breaks | 234 | 3 |") == 1
    assert "| all |  | 1,234 | 5 | 0 | 0 | 0 |  |  |" in text
    assert "- **redis-kill BROKEN**: it was slow" in text
    assert "otherwise" not in text
    assert "gone-fault" not in text


def test_the_page_says_what_was_broken(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{published.BEGIN}\n{published.END}")
    published.publish([result(injected=0)], page, "")

    assert "**a-fault BROKEN**: the fault never struck" in page.read_text()


def test_a_page_without_markers_is_refused_before_anything_runs(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")

    answer = CliRunner().invoke(command_line.chaos, ["--docs", str(page)])

    assert answer.exit_code == 2
    assert "must have the lines" in answer.output


def test_the_run_is_json_for_programs_and_its_exit_code_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[dict[str, Any]] = []

    def run(scenario: Scenario, **how: Any) -> Result:
        asked.append({"name": scenario.name, **how})
        return result(Accounts(jobs=10, arrived=10, steps=5, lost=1))

    monkeypatch.setattr(command_line, "run", run)
    answer = CliRunner().invoke(
        command_line.chaos, ["--json", "--seed", "7", "--minutes", "2", "--only", "redis-restart"]
    )

    assert answer.exit_code == 1
    (row,) = json.loads(answer.stdout)
    assert {"fault", "jobs", "lost", "duplicated", "out_of_order", "recovery_s"} <= row.keys()
    assert (asked[0]["name"], asked[0]["seed"], asked[0]["seconds"]) == ("redis-restart", 7, 120.0)


def test_the_whole_of_it_has_four_hundred_thousand_jobs_and_takes_about_an_hour() -> None:
    chosen = command_line._chosen(None)

    assert sum(scenario.jobs for scenario in chosen) >= 400_000
    assert sum(scenario.seconds + command_line.BESIDES_S for scenario in chosen) <= 65 * 60
    assert "job-million" in SCENARIOS
    assert not any(scenario.on_request for scenario in chosen)


def test_the_time_for_recovery_grows_with_what_is_left_to_be_delivered() -> None:
    assert bound_s(SCENARIO, 0) == SCENARIO.bound_s
    assert bound_s(SCENARIO, 50_000) == SCENARIO.bound_s + 500


def test_without_prometheus_the_run_says_that_no_metrics_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[dict[str, Any]] = []

    def run(scenario: Scenario, **how: Any) -> Result:
        asked.append(how)
        return result()

    monkeypatch.setattr(command_line, "run", run)

    def call(*arguments: str) -> Any:
        return CliRunner().invoke(command_line.chaos, ["--only", "everything", *arguments])

    monkeypatch.setattr(command_line, "is_installed", lambda: True)
    answers = [call(), call("--no-prometheus")]
    assert not any("no metrics are compared" in answer.output for answer in answers)
    monkeypatch.setattr(command_line, "is_installed", lambda: False)
    assert "Prometheus is not installed: no metrics are compared" in call().output
    assert [how["prometheus"] for how in asked] == [True, False, False]

    refused = call("--prometheus")
    assert refused.exit_code == 2
    assert "there is no command prometheus" in refused.output


def test_what_was_scraped_stands_beside_the_accounts_in_the_output_and_in_json() -> None:
    ran = result(
        metrics=[
            Line('trackrelay_jobs_delivered_total{family="v2"}', 1234, 1235, 1235, "ledger"),
            Line("trackrelay_stream_entries_total", 12, 10, 15, "journals"),
            Line("trackrelay_lost_jobs", None, 0, 0, "journals"),
        ]
    )
    written = StringIO()
    show_metrics(ran, Console(file=written, width=140))
    shown = written.getvalue()
    assert re.search(r'delivered_total\{family="v2"\} *\| *1,234 \| *1,235 \| ledger', shown)
    assert re.search(r"entries_total *\| *12 \| *10 … 15 \| journals", shown)
    assert "lost_jobs" not in shown
    assert "1 other comparisons" in shown
    assert [line["agrees"] for line in rows([ran])[0]["metrics"]] == [False, True, True]
