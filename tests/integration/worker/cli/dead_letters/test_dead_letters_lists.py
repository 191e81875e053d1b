"""Dead letters are listed, shown, discarded, exported and imported."""

import json
import stat
from pathlib import Path

from tests.support.canaries import CANARY_EMAIL
from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.waiting import wait_until
from trackrelay import Person
from trackrelay.worker.cli.dead_letters.letter_details import hints_for_letter as hints
from trackrelay.worker.storage import dead_letter_queries


def test_list_finds_dead_letters_by_person_key_time_and_text(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    mail = refusing.producer.identify(Person(email=CANARY_EMAIL), {"plan": "platinum"})
    refusing.wait_dead(mail)

    def found(*filters: str) -> set[str]:
        document = run("dead-letters", "list", "--json", *filters).json
        assert document["total"] == len(document["dead_letters"])
        return {each["id"] for each in document["dead_letters"]}

    assert found() == {letter, mail}
    assert found("--person", "42") == {letter} == found("--key", "id:42")
    assert (
        found("--person", CANARY_EMAIL.upper()) == {mail} == found("--key", f"email:{CANARY_EMAIL}")
    )
    assert found("--key", refusing.dead(mail).key) == {mail}
    assert found("--operation", "person.identify") == {mail}
    assert found("--source", "tests") == {letter, mail}
    assert found("--error", "NO SUCH") == {letter, mail}
    assert found("--error", "else") == set()
    assert found("--since", "1h") == {letter, mail}
    assert found("--until", "1h") == set() == found("--until", "2020-01-01")
    assert found("--state", "delivered") == set()
    assert found("--reason", "rejected", "--reason", "expired") == {letter, mail}


def test_dead_letters_are_found_by_the_name_of_the_event_and_by_email(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    other = refusing.producer.track("43", "paid", {"plan": "platinum", "email": CANARY_EMAIL})
    mail = refusing.producer.identify("44", {"plan": "platinum", "email": CANARY_EMAIL.upper()})
    for job in (other, mail):
        refusing.wait_dead(job)

    def found(*filters: str) -> set[str]:
        return {
            each["id"]
            for each in run("dead-letters", "list", "--json", *filters).json["dead_letters"]
        }

    assert found("--name", "bought") == {letter}
    assert found("--name", "bought", "--name", "paid") == {letter, other}
    assert found("--name", "plan") == set()
    assert found("--email", CANARY_EMAIL) == {other, mail}
    listed = run("dead-letters", "list").out
    assert "person.event bought" in listed
    assert "person.event paid" in listed
    assert run("replay", "--name", "paid", "--dry-run", "--json").json["selected"] == 1


def test_list_shows_the_error_without_naming_the_person(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    refusing.wait_dead(refusing.producer.identify(Person(email=CANARY_EMAIL), {"plan": "platinum"}))
    listed = run("dead-letters", "list")
    assert letter in listed.out
    assert "rejected: attributes.plan: there is no such plan" in listed.out
    assert "2 open (2 rejected)." in listed.out
    assert CANARY_EMAIL not in listed.out
    assert run("dead-letters", "list", "--state", "discarded").out == "No dead letter matches.\n"


def test_show_tells_everything_and_what_to_do(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    shown = run("dead-letters", "show", letter[:8].lower()).out
    for part in (
        letter, "person.event", "id:42", "A-1", "tests", "there is no such plan", "attributes.plan",
        "400", '"plan": "platinum"', "rejected", f"trackrelay replay --id {letter} --set "
        "attributes.plan=VALUE",
        f"trackrelay dead-letters discard --id {letter}",
    ):  # fmt: skip
        assert part in shown
    document = run("dead-letters", "show", letter, "--json").json
    assert document["document"]["attributes"] == {"plan": "platinum", "total": 5}
    assert [event["what"] for event in document["history"]] == ["rejected"]


def test_every_reason_has_a_hint(refusing: Harness, letter: str) -> None:
    from dataclasses import replace

    with refusing.engine.connect() as connection:
        (found,) = dead_letter_queries.load(connection, [letter])
    for reason in ("rejected", "exhausted", "expired", "undecodable", "crashed"):
        assert len(hints(replace(found, reason=reason))) >= 2
    for state in ("replaying", "delivered", "discarded"):
        assert len(hints(replace(found, state=state))) == 1  # type: ignore[arg-type]


def test_discarding_keeps_the_row_and_can_be_taken_back(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    assert run("dead-letters", "discard", input="n\n").code == 1
    assert run("dead-letters", "discard", "--dry-run").out.startswith(
        "1 dead letter would be discarded"
    )
    assert (
        run("dead-letters", "discard", "--yes", "--note", "a test", "--json").json["discarded"] == 1
    )
    assert (
        refusing.dead(letter).state,
        [event["what"] for event in refusing.dead(letter).history],
    ) == (
        "discarded",
        ["rejected", "discarded"],
    )
    assert run("replay", "--yes").out == "No dead letter matches.\n"
    refused = run("replay", "--id", letter, "--yes")
    assert refused.code == 1
    assert "it was discarded" in refused.out
    for arguments in ((), ("--json",)):
        left = run("dead-letters", "discard", "--id", letter, "--yes", *arguments)
        assert left.only_line() == "1 of 1 dead letter not discarded: they are not open"
    refusing.sandbox.clear_faults()
    assert run("replay", "--state", "discarded", "--yes").code == 0
    refusing.wait_delivered([letter])


def test_discarding_a_dead_letter_that_does_not_exist_is_reported(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    for arguments in (["--yes"], ["--dry-run"]):
        answer = run("dead-letters", "discard", "--id", "nope", *arguments)
        assert (
            answer.only_line()
            == "there is no dead letter NOPE: `trackrelay find NOPE` shows where the job is"
        )
        assert answer.out == ""
    both = run("dead-letters", "discard", "--id", "nope", "--id", letter, "--yes")
    assert both.out == "1 dead letter discarded.\n"
    assert both.code == 1


def test_an_export_that_cannot_be_written_is_reported_and_discards_nothing(
    refusing: Harness, run: CommandLine, letter: str, tmp_path: Path
) -> None:
    for output, why in (
        (str(tmp_path / "nowhere" / "x"), "No such file"),
        ("/dev/full", "No space left"),
    ):
        line = run("dead-letters", "export", "-o", output, "--discard").only_line()
        assert line.startswith(f"{output} cannot be written: {why}")
    assert refusing.dead(letter).state == "open"
    assert run("dead-letters", "export", "-o", str(tmp_path / "letters")).code == 0
    assert stat.S_IMODE((tmp_path / "letters").stat().st_mode) == 0o600


def test_exported_repaired_and_imported_they_are_the_same_jobs_delivered_once(
    refusing: Harness, run: CommandLine, letter: str, tmp_path: Path
) -> None:
    other = refusing.producer.identify("43", {"plan": "platinum"})
    refusing.wait_dead(other)
    file = tmp_path / "letters.jsonl"
    assert run("dead-letters", "export", "-o", str(file), "--discard").code == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["dead_letter"]["id"] for line in lines] == [letter, other]
    assert [line["operation"]["idempotency_key"] for line in lines] == ["A-1", other]
    assert {line["reason"] for line in lines} == {
        "rejected: attributes.plan: there is no such plan"
    }
    file.write_text(file.read_text().replace("platinum", "pro"))
    for _ in range(2):
        assert run("import", str(file), "--yes").code == 0
    refusing.wait_delivered([letter])
    wait_until(lambda: refusing.effects("id:43"))
    refusing.wait_settled()
    assert len(refusing.effects("id:42")) == len(refusing.effects("id:43")) == 1
    assert {refusing.dead(letter).state, refusing.dead(other).state} == {"discarded"}


def test_exports_go_to_stdout_one_line_each(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    exported = run("dead-letters", "export")
    assert [json.loads(line)["dead_letter"]["id"] for line in exported.out.splitlines()] == [letter]
    assert refusing.dead(letter).state == "open"
