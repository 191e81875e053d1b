"""``trackrelay ledger show``, ``partition`` and ``unpartition``, while a worker delivers."""

from __future__ import annotations

import json

import pytest

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from trackrelay.worker.storage import advisory_lock, ledger_layout


@pytest.fixture
def plain(working_harness: Harness) -> Harness:
    """A deployment whose ledger is one table, as of version 0.1.0, with a delivered job."""
    ledger_layout.unpartition(working_harness.engine, lambda step: None, known_after_s=0)
    deliver(working_harness, "before")
    return working_harness


def deliver(harness: Harness, name: str) -> str:
    job = harness.producer.track("42", name)
    harness.wait_delivered([job])
    return job


def test_a_ledger_gets_partitions_and_loses_them_while_jobs_are_delivered(
    plain: Harness, run: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("ledger", "show").out.startswith("The ledger is one table.")
    assert run("ledger", "partition", "--yes").out == "The ledger has partitions now.\n"
    deliver(plain, "between")
    assert run("ledger", "partition", "--yes").out == "The ledger has partitions already.\n"

    shown = run("ledger", "show").out
    assert "trackrelay_ledger_before" in shown
    assert "before partitions" in shown
    assert all(len(line) <= 80 for line in shown.splitlines()), shown
    document = json.loads(run("ledger", "show", "--json").out)
    assert document["partitioned"] is True
    assert document["problem"] is None
    assert {each["name"] for each in document["partitions"]} >= {
        "trackrelay_ledger_before",
        "trackrelay_ledger_kept",
    }

    monkeypatch.setattr(ledger_layout.ledger_partitions, "REREAD_S", 0.0)
    assert run("ledger", "unpartition", "--yes").out == "The ledger is one table now.\n"
    deliver(plain, "afterwards")
    assert run("ledger", "unpartition", "--yes").out == "The ledger is one table already.\n"
    assert len(plain.ledger_ids()) == 3
    assert run("status", "-q").code == 0


def test_two_such_commands_do_not_meet(plain: Harness, run: CommandLine) -> None:
    with advisory_lock.advisory_lock(plain.engine, "migrate", wait_s=5):
        answer = run("ledger", "partition", "--yes")
    assert answer.code == 1
    assert "another command changes the tables just now" in answer.err


def test_status_and_check_say_that_nobody_makes_partitions(
    harness: Harness, run: CommandLine
) -> None:
    for each in json.loads(run("ledger", "show", "--json").out)["partitions"]:
        if each["days"]:
            with harness.engine.begin() as connection:
                connection.exec_driver_sql(
                    f"ALTER TABLE trackrelay_ledger DETACH PARTITION {each['name']}"
                )
    assert "The ledger has no partitions" in run("status").out
    assert "the ledger has no partitions" in run("check").out
    assert run("ledger", "prune").code == 0
    assert "no partitions for" not in run("status").out
