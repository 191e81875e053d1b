"""``trackrelay verify``, and the verdicts in ``status`` and ``find``."""

from __future__ import annotations

import csv
import io

import pytest

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.verification_harness import Verifying
from trackrelay.worker.reasons import VerdictKind
from trackrelay.worker.storage import verdicts
from trackrelay.worker.storage.verdicts import NewVerdict

JOB = "01HB4HBDKTFWYZCK01DMRSWRFD"


def judge(harness: Harness, kind: str, item: str = "attribute:phone", key: str = "id:42") -> None:
    with harness.engine.begin() as connection:
        verdicts.record(
            connection,
            NewVerdict(
                job_id=JOB, key=key, operation="person.identify", item=item,
                verdict=VerdictKind(kind), reason="the profile has no phone",
            ),
        )  # fmt: skip


def test_without_a_verdict_the_list_is_empty(harness: Harness, run: CommandLine) -> None:
    answer = run("verify")
    assert (answer.code, answer.out) == (0, "No verdict is open.\n")
    assert run("verify", "--json").json == []
    assert run("verify", "--all").out == "There is no verdict.\n"


def test_open_verdicts_are_listed_and_the_status_is_one(harness: Harness, run: CommandLine) -> None:
    judge(harness, "missing")
    judge(harness, "unknown", "exists", "id:43")
    answer = run("verify", "--list")
    assert answer.only_line() == (
        "1 delivery did not arrive as sent; "
        "`trackrelay verify --resolve ID` closes what needs nothing"
    )
    assert "missing  id:42  attribute:phone  the profile has no phone" in answer.out
    assert [each["verdict"] for each in run("verify", "--json").json] == ["unknown", "missing"]
    assert run("verify", "--verdict", "unknown").code == 0


def test_only_what_is_unknown_is_no_failure(harness: Harness, run: CommandLine) -> None:
    judge(harness, "unknown")
    assert run("verify").code == 0


def test_a_verdict_is_resolved_by_a_command(harness: Harness, run: CommandLine) -> None:
    judge(harness, "missing")
    (verdict,) = run("verify", "--json").json
    assert run("verify", "--resolve", str(verdict["id"])).out == "1 verdict resolved.\n"
    assert run("verify").code == 0
    again = run("verify", "--resolve", str(verdict["id"]))
    assert again.only_line() == f"there is no open verdict {verdict['id']}"
    (resolved,) = run("verify", "--all", "--json").json
    assert (resolved["state"], "@" in resolved["resolved_by"]) == ("resolved", True)


def test_the_list_is_exported_as_csv_that_no_spreadsheet_runs(
    harness: Harness, run: CommandLine
) -> None:
    judge(harness, "missing", item="=HYPERLINK(1)")
    (row,) = csv.DictReader(io.StringIO(run("verify", "--csv").out))
    assert (row["verdict"], row["item"], row["key"]) == ("missing", "'=HYPERLINK(1)", "id:42")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--person", "42", "--list"),
        ("--resolve", "1", "--list"),
        ("--csv", "--json"),
        ("--csv", "--person", "42"),
        ("--person", "anonymous_id:"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    run: CommandLine, arguments: tuple[str, ...]
) -> None:
    assert run("verify", *arguments).code == 2


def test_it_says_that_nothing_is_remembered_and_why(harness: Harness, run: CommandLine) -> None:
    assert run("verify", "--person", "42").only_line() == (
        "nothing is remembered of 42, so nothing can be compared: TRACKRELAY_VERIFY is off; "
        "set it to sample or all, also for the workers"
    )
    line = run("verify", "--since", "1h", TRACKRELAY_VERIFY="sample").only_line()
    assert line.startswith("nothing is remembered that was sent in the last 1 h, so nothing can")
    assert "the sample of 0.01 (TRACKRELAY_VERIFY_SAMPLE)" in line


def test_without_a_key_it_names_the_setting(verifying: Verifying, run: CommandLine) -> None:
    verifying.deliver(verifying.producer.identify("42", {"a": 1}))
    line = run("verify", "--person", "42", CUSTOMERIO_APP_API_KEY=None).only_line()
    assert line.startswith("CUSTOMERIO_APP_API_KEY is not set")


def test_a_person_is_compared_now(verifying: Verifying, run: CommandLine) -> None:
    settings = {"TRACKRELAY_VERIFY": "all", "TRACKRELAY_VERIFY_AFTER": "0s"}
    verifying.deliver(verifying.producer.identify("42", {"plan": "pro", "age": 7}))
    right = run("verify", "--person", "42", **settings)
    assert (right.code, right.out) == (0, "1 person or object: 3 verified.\n")
    verifying.sandbox.overwrite("id:42", "plan", "basic")
    wrong = run("verify", "--person", "42", "--json", **settings)
    assert wrong.code == 1
    assert wrong.json["counts"] == {"verified": 2, "different": 1}
    (result,) = wrong.json["results"]
    assert (result["key"], result["item"], result["verdict"]) == (
        "id:42", "attribute:plan", "different",
    )  # fmt: skip
    assert "basic" not in wrong.out
    assert [each.item for each in verifying.open()] == ["attribute:plan"]


def test_what_was_sent_a_moment_ago_is_pending(verifying: Verifying, run: CommandLine) -> None:
    verifying.sandbox.lose("attribute", name="plan")
    verifying.deliver(verifying.producer.identify("42", {"plan": "pro"}))
    answer = run("verify", "--person", "42", TRACKRELAY_VERIFY_AFTER="2m")
    assert answer.code == 0
    assert "1 person or object: 1 verified and 1 pending." in answer.out
    assert "Ask again later." in answer.out
    assert verifying.open() == []


def test_a_sample_is_compared_and_the_segment_of_each_person(
    verifying: Verifying, run: CommandLine
) -> None:
    producer = verifying.producer
    jobs = [producer.identify(str(number), {"plan": "pro"}) for number in range(5)]
    verifying.deliver(*jobs, producer.add_to_segment(7, ["0", "1"]))
    answer = run("verify", "--since", "1h", "--sample", "3", TRACKRELAY_VERIFY_AFTER="0s")
    assert answer.code == 0
    assert answer.out.startswith("3 people and objects: ")
    members = run("verify", "--in-segment", "7", "--json", TRACKRELAY_VERIFY_AFTER="0s")
    assert members.code == 1
    outside = {each["key"] for each in members.json["results"]}
    assert outside == {"id:2", "id:3", "id:4"}


def test_an_app_api_that_does_not_answer_is_reported(
    verifying: Verifying, run: CommandLine
) -> None:
    verifying.deliver(verifying.producer.identify("42", {"a": 1}))
    line = run("verify", "--person", "42", CUSTOMERIO_APP_API_KEY="wrong-key-1").only_line()
    assert "refuses CUSTOMERIO_APP_API_KEY (401)" in line
    assert "wrong-key-1" not in line


def test_status_never_says_that_all_is_well_while_something_was_lost(
    harness: Harness, run: CommandLine
) -> None:
    assert run("status", "--fail-if", "ignored>0,missing>0,different>0").code == 0
    assert "Verification" not in run("status").out
    judge(harness, "missing")
    judge(harness, "ignored", "merge", "id:43")
    answer = run("status", "--fail-if", "ignored>0,missing>0")
    assert answer.code == 1
    assert "does not have what they sent: 1 ignored and 1 missing." in answer.out
    assert "trackrelay verify --list" in answer.out
    assert "Verification  1 ignored and 1 missing open; 0 verified today" in answer.out
    document = run("status", "--json").json["verification"]
    assert document["open"] == {"ignored": 1, "missing": 1, "different": 0, "unknown": 0}


def test_find_shows_what_became_of_a_job(working_harness: Harness, run: CommandLine) -> None:
    job = working_harness.producer.identify("42", {"phone": "+4915112345678"})
    working_harness.wait_settled()
    with working_harness.engine.begin() as connection:
        verdict = NewVerdict(
            job_id=job, key="id:42", operation="person.identify", item="attribute:phone",
            verdict=VerdictKind.MISSING, reason="the profile has no phone",
        )  # fmt: skip
        verdicts.record(connection, verdict)
    assert "missing attribute:phone, " in run("find", job).out
    (found,) = run("find", job, "--json").json["jobs"]
    assert [each["verdict"] for each in found["verdicts"]] == ["missing"]
    assert run("find", "--person", "42", "--json").json["jobs"][0]["verdicts"]
