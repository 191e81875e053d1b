"""Dead letters on the command line, with the real loop that buries and delivers them."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.waiting import wait_until
from trackrelay import operations
from trackrelay.operations.operation import Operation
from trackrelay.queue.redis_keys import PREFIX
from trackrelay.worker.storage import dead_letters
from trackrelay.worker.storage.dead_letters import NewDeadLetter
from trackrelay.worker.storage.stored_job import Job


def history(harness: Harness, id: str) -> list[str]:
    return [event["what"] for event in harness.dead(id).history]


def bury(harness: Harness, made: list[Operation]) -> list[str]:
    """Dead letters made without a refusal, in this order."""
    jobs = [
        Job(
            id=each.id, operation=each.name, keys=each.keys, shards=(0,), body=each.body,
            lane="live",
            enqueued_at=1_790_000_000.0 + n, age_from=0,
        )
        for n, each in enumerate(made)
    ]  # fmt: skip
    with harness.engine.begin() as connection:
        dead_letters.insert(
            connection, [NewDeadLetter(job=job, reason="rejected", error="no") for job in jobs]
        )
    return [job.id for job in jobs]


def test_a_repaired_dead_letter_is_delivered_and_its_row_names_who_repaired_it(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    done = run("replay", "--id", letter, "--set", "attributes.plan=pro", "--note", "typo", "--yes")
    assert done.code == 0, done
    assert "1 dead letter replayed: 1 person.event." in done.out
    assert "1 event of the last 72 hours may trigger campaigns." in done.err
    refusing.wait_delivered([letter])
    row = wait_until(lambda: (row := refusing.dead(letter)).state == "delivered" and row)
    assert [event["what"] for event in row.history] == ["rejected", "replayed", "delivered"]
    replayed = row.history[1]
    assert "@" in replayed["who"]
    assert replayed["note"] == "typo"
    assert replayed["changes"] == [
        {"path": "attributes.plan", "before": "platinum", "after": "pro"}
    ]
    (effect,) = refusing.effects("id:42")
    assert (effect["id"], effect["attributes"]) == (letter, {"plan": "pro", "total": 5})


def test_a_replay_that_fails_again_is_the_same_dead_letter_with_more_history(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    for times in (1, 2):
        assert run("dead-letters", "replay", "--id", letter, "--yes").code == 0
        wait_until(
            lambda times=times: (
                history(refusing, letter) == ["rejected", *["replayed", "rejected"] * times]
            )
        )
        assert (refusing.dead(letter).state, refusing.dead(letter).attempts) == ("open", 1 + times)
    assert run("dead-letters", "show", letter, "--json").json["attempts"] == 3
    assert len(refusing.rows("SELECT 1 FROM trackrelay_dead_letters")) == 1
    assert refusing.backlog_size() == 0
    assert refusing.effects("id:42") == []


def test_a_settlement_that_is_written_twice_counts_its_attempts_once(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    run("replay", "--id", letter, "--yes")
    wait_until(lambda: refusing.dead(letter).state == "open")
    row = refusing.dead(letter)
    job = Job(
        id=letter, operation=row.operation, keys=(row.key,), shards=(0,), body=b"{}", lane="bulk",
        enqueued_at=1.0,
        age_from=1.0, attempts=1, replayed=True,
    )  # fmt: skip
    with refusing.engine.begin() as connection:
        dead_letters.insert(connection, [NewDeadLetter(job=job, reason="rejected", error="no")])
    assert refusing.dead(letter).attempts == row.attempts == 2


def test_a_replayed_dead_letter_is_no_repeat_of_itself_and_neither_is_the_callers_job(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    refusing.sandbox.clear_faults()
    with refusing.sandbox.outage():
        run("replay", "--id", letter, "--yes")
        assert (
            refusing.producer.track("42", "bought", {"total": 5}, idempotency_key="A-1") == letter
        )
        wait_until(lambda: refusing.stream_length() == 0)
    refusing.wait_delivered([letter], timeout=40)
    refusing.wait_settled()
    assert len(refusing.effects("id:42")) == 1


def test_without_a_yes_it_asks_and_says_what_it_is_about_to_do(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    asked = run("replay", input="n\n")
    assert asked.code == 1
    assert "1 dead letter will be replayed: 1 person.event." in asked.err
    assert "1 event of the last 72 hours may trigger campaigns." in asked.err
    assert refusing.dead(letter).state == "open"
    assert run("replay", input="y\n").code == 0


def test_an_old_event_will_not_trigger_campaigns(refusing: Harness, run: CommandLine) -> None:
    job = refusing.producer.track("42", "bought", {"plan": "platinum"}, timestamp=1_700_000_000)
    refusing.wait_dead(job)
    assert (
        "1 event older than 72 hours will not trigger campaigns." in run("replay", "--dry-run").out
    )


def test_a_dry_run_changes_nothing_and_fails_if_the_replay_would(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    assert run("replay", "--dry-run").code == 0
    refused = run("replay", "--dry-run", "--set", "attributes.plan=" + "x" * 101_000, "--json")
    assert refused.code == 1
    assert refused.json["dry_run"] is True
    assert refused.json["would_be_replayed"] == 0
    assert [each["kind"] for each in refused.json["refused"]] == ["invalid"]
    assert refused.only_line() == "1 of 1 dead letter cannot be replayed"
    assert history(refusing, letter) == ["rejected"]


def test_what_is_refused_is_named_and_stops_nobody(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    device = refusing.producer.add_device("7", "t", "ios")
    refusing.wait_dead(device)
    newer = refusing.producer.track("7", "newer")
    refusing.wait_delivered([newer])
    done = run("replay", "--set", "attributes.plan=pro", "--error", "plan", "--yes", "--json")
    assert (done.code, done.json["replayed"]) == (0, 1)
    done = run("replay", "--yes", "--json")
    assert done.only_line() == "1 of 1 dead letter cannot be replayed"
    (refused,) = done.json["refused"]
    assert (refused["id"], refused["kind"], refused["because_of"]["id"]) == (device, "newer", newer)
    assert refused["because_of"]["operation"] == "person.event"
    refusing.sandbox.clear_faults()
    assert run("replay", "--yes", "--even-if-newer").code == 0
    refusing.wait_delivered([device])


def test_nothing_of_a_deleted_person_is_replayed(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    gone = refusing.producer.delete_person("42")
    refusing.wait_delivered([gone])
    done = run("replay", "--yes", "--even-if-newer", "--set", "attributes.plan=pro")
    assert done.only_line() == "1 of 1 dead letter cannot be replayed"
    assert gone in done.out
    assert "it would bring the person back" in done.out.replace("\n    ", " ")
    assert refusing.effects("id:42")[-1]["action"] == "delete"


def test_a_crashed_dead_letter_can_be_replayed(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    with refusing.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trackrelay_dead_letters SET reason = 'crashed'")
    refusing.sandbox.clear_faults()
    assert run("replay", "--reason", "crashed", "--yes").code == 0
    refusing.wait_delivered([letter])


def test_an_undecodable_dead_letter_is_replayed_with_the_intended_document(
    refusing: Harness, run: CommandLine, tmp_path: Path
) -> None:
    refusing.redis.xadd(f"{PREFIX}0:live", {"v": "1", "j": "not json"})
    refusing.producer.track("42", "a")  # wakes the shard
    refusing.producer.track("43", "a")
    refusing.producer.track("44", "a")
    refusing.producer.track("45", "a")
    (found,) = wait_until(
        lambda: run("dead-letters", "list", "--reason", "undecodable", "--json").json[
            "dead_letters"
        ]
    )
    id = found["id"]
    assert "not json" in found["raw"]
    refused = run("replay", "--id", id, "--yes")
    assert refused.code == 1
    assert "--edit" in refused.out
    document = tmp_path / "document.json"
    meant = {"type": "person", "identifiers": {"id": "99"}, "action": "event", "name": "meant"}
    document.write_text(json.dumps(meant))
    assert run("replay", "--id", id, "--edit", "--yes", EDITOR=f"cp {document}").code == 0
    refusing.wait_delivered([id])
    (effect,) = refusing.effects("id:99")
    assert (effect["name"], effect["id"]) == ("meant", id)
    assert (refusing.dead(id).key, refusing.dead(id).operation) == ("id:99", "person.event")


def test_a_dead_letter_is_repaired_in_the_editor(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    done = run("replay", "--id", letter, "--edit", "--yes", EDITOR="sed -i s/platinum/pro/")
    assert done.code == 0, done
    refusing.wait_delivered([letter])
    assert refusing.effects("id:42")[0]["attributes"] == {"plan": "pro", "total": 5}


def test_an_edit_that_is_no_operation_says_why_and_offers_the_editor_again(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    for editor, message in (
        ("sed -i s/bought//", "is blank"),
        ("sed -i s/{/[/", "not JSON"),
        ("sed -i s/42/43/", "somebody else"),
    ):
        done = run("replay", "--id", letter, "--edit", "--yes", input="n\n", EDITOR=editor)
        assert done.code == 1
        assert message in done.err.replace("\n", " ")
        assert "Edit it again?" in done.err
    assert history(refusing, letter) == ["rejected"]


def test_an_edit_that_changes_nothing_replays_nothing(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    # `click.edit` sees by the file's time whether it was saved.
    done = run("replay", "--id", letter, "--edit", "--yes", EDITOR="touch -d tomorrow")
    assert "was not changed" in done.only_line()
    assert (
        "was not saved"
        in run("replay", "--id", letter, "--edit", "--yes", EDITOR="true").only_line()
    )


def test_only_one_dead_letter_at_a_time_is_edited(
    refusing: Harness, run: CommandLine, letter: str
) -> None:
    other = refusing.producer.track("43", "bought", {"plan": "platinum"})
    refusing.wait_dead(other)
    assert "2 match" in run("replay", "--edit", "--yes", EDITOR="true").only_line()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--set", "attributes.plan"),
        ("--set", "=x"),
        ("--edit", "--set", "attributes.plan=x"),
        ("--json",),
        ("--reason", "boredom"),
        ("--since", "yesterday"),
        ("--limit", "0"),
    ],
)
def test_what_means_nothing_is_a_usage_error(run: CommandLine, arguments: tuple[str, ...]) -> None:
    assert run("replay", *arguments).code == 2


def test_a_named_dead_letter_that_does_not_exist_is_an_error(
    harness: Harness, run: CommandLine
) -> None:
    done = run("replay", "--id", "01J00000000000000000000000", "--yes")
    assert done.code == 1
    assert "there is no such dead letter" in done.out
    assert run("replay", "--reason", "expired", "--yes").code == 0
    assert "there is no dead letter 01J" in run("dead-letters", "show", "01J").only_line()


def test_an_interrupted_replay_keeps_whole_chunks_and_can_be_continued(
    harness: Harness, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trackrelay.worker.storage import replay as store

    ids = bury(harness, [operations.track("42", "bought", {"n": n}) for n in range(5)])
    monkeypatch.setattr("trackrelay.worker.dead_letters.replay_batches.CHUNK", 2)
    chunks = []

    def replay(*arguments: Any) -> frozenset[str]:
        done = really(*arguments)
        chunks.append(done)
        if len(chunks) == 2:
            raise KeyboardInterrupt
        return done

    really = store.replay
    monkeypatch.setattr(store, "replay", replay)
    assert "interrupted: 2 of 5 are replayed" in run("replay", "--yes").only_line()
    assert [harness.dead(id).state for id in ids] == ["replaying"] * 2 + ["open"] * 3
    assert run("replay", "--yes", "--json").json["replayed"] == 3


def test_the_accepted_operation_is_the_one_that_died(refusing: Harness, run: CommandLine) -> None:
    operation: Operation = operations.identify("42", {"plan": "platinum"}, timestamp=1_790_000_000)
    refusing.producer.enqueue(operation)
    refusing.wait_dead(operation.id)
    assert run("dead-letters", "show", operation.id, "--json").json["document"] == json.loads(
        operation.body
    )
