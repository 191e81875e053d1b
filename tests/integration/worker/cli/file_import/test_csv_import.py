"""``trackrelay import`` of CSV."""

from pathlib import Path

import msgspec
import pytest

import trackrelay
from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from trackrelay.queue.job import decode_entry


def test_a_file_is_imported_and_again_without_sending_twice(
    working_harness: Harness, run: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "people.csv"
    file.write_text("id,plan\n" + "".join(f"{number},pro\n" for number in range(20)))
    command = ["import", str(file), "--as", "identify", "--id-column", "id"]

    assert run(*command).out == "20 operations enqueued, 0 lines rejected.\n"
    working_harness.wait_settled()
    assert run(*command).code == 0
    working_harness.wait_settled()

    assert len(working_harness.ledger_ids()) == 20
    assert working_harness.sandbox.person("id:7")["attributes"]["plan"] == "pro"


def test_a_naive_time_is_refused_unless_a_zone_is_set(
    harness: Harness, run: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "events.csv"
    file.write_text("id,at\n42,2024-01-01 00:00:00\n")
    command = [
        "import",
        str(file),
        "--as",
        "event",
        "--id-column",
        "id",
        "--name",
        "x",
        "--timestamp-column",
        "at",
    ]

    assert "naive" in run(*command).lines[0]
    assert run(*command, "--dry-run").code == 1
    trackrelay.configure()  # as in a process of its own
    assert run(*command, "--dry-run", TRACKRELAY_NAIVE_TIMEZONE="Europe/Berlin").code == 0
    assert run(*command, TRACKRELAY_NAIVE_TIMEZONE="Europe/Berlin").code == 0
    ((_, fields),) = [
        entry for shard in range(4) for entry in harness.redis.xrange(f"trackrelay:{shard}:bulk")
    ]
    (job,) = decode_entry(fields[b"j"])
    assert msgspec.json.decode(job.body)["timestamp"] == 1_704_063_600


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "CSV needs --as identify or --as event"),
        (["--id-column", "id"], "--id-column is for CSV: add --as"),
        (["--as", "identify"], "CSV needs --id-column"),
        (["--as", "event", "--id-column", "id"], "events need either --name"),
        (
            ["--as", "event", "--id-column", "id", "--name", "x", "--name-column", "plan"],
            "either --name or --name-column",
        ),
        (["--as", "identify", "--id-column", "id", "--name", "x"], "--name is for --as event"),
        (
            ["--as", "identify", "--id-column", "id", "--id-type", "anonymous_id"],
            "is for --as event",
        ),
        (["--as", "identify", "--id-column", "key"], "has no column 'key'; it has id, plan"),
        (
            ["--as", "identify", "--id-column", "id", "--delimiter", ";;"],
            "--delimiter must be one character",
        ),
    ],
)
def test_options_that_exclude_each_other_are_reported(
    harness: Harness, run: CommandLine, tmp_path: Path, options: list[str], words: str
) -> None:
    file = tmp_path / "people.csv"
    file.write_text("id,plan\n42,pro\n")

    answer = run("import", str(file), *options)

    assert answer.code == 2
    assert words in answer.err


PEOPLE = "who,plan\njoe@example.com,pro\n42,free\ncio_03000001,pro\n"


def test_a_column_of_addresses_makes_nobody_called_an_address(
    harness: Harness, run: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE)
    base = (str(file), "--as", "identify", "--id-column", "who")

    answer = run("import", *base)

    assert answer.out == "1 operation enqueued, 2 lines rejected.\n"
    assert answer.lines[:2] == [
        "line 2: column 'who' holds what looks like a person's email: add --id-type email, "
        "or --id-type id if it is your "
        "id for the person",
        "line 4: column 'who' holds what looks like a person's cio_id: add --id-type cio_id, "
        "or --id-type id if it is "
        "your id for the person",
    ]
    assert (
        run("import", *base, "--id-type", "id").out == "3 operations enqueued, 0 lines rejected.\n"
    )


def test_a_time_without_a_zone_means_what_the_command_says(
    harness: Harness, run: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("who,at,due\n42,2026-07-01T12:00,2026-07-02 12:00\n43,2026-07-01T12:00Z,\n")
    base = (
        str(file),
        "--as",
        "event",
        "--name",
        "ordered",
        "--id-column",
        "who",
        "--timestamp-column",
        "at",
    )

    assert "naive datetime" in run("import", *base, "--time", "due").lines[0]
    answer = run(
        "import",
        *base,
        "--time",
        "due",
        "--naive-timezone",
        "Europe/Berlin",
        "--rejects",
        str(tmp_path / "bad"),
    )

    assert answer.out == "2 operations enqueued, 0 lines rejected.\n"
    bodies = {
        job.keys[0]: msgspec.json.decode(job.body)
        for shard in range(4)
        for _, fields in harness.redis.xrange(f"trackrelay:{shard}:bulk")
        for job in decode_entry(fields[b"j"])
    }
    assert (bodies["id:42"]["timestamp"], bodies["id:42"]["attributes"]["due"]) == (
        1_782_900_000,
        1_782_986_400,
    )
    assert bodies["id:43"]["timestamp"] == 1_782_907_200


def test_an_unknown_time_zone_is_reported(run: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE)
    answer = run(
        "import",
        str(file),
        "--as",
        "identify",
        "--id-column",
        "who",
        "--naive-timezone",
        "Mars/Olympus",
    )
    assert answer.code == 2
    assert "'Mars/Olympus' is not a time zone such as Europe/Berlin" in answer.err
