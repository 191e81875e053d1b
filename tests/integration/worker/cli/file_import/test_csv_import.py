"""``trackrelay import`` of CSV."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

import trackrelay
from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from trackrelay.queue.job import decode_entry
from trackrelay.worker.cli.file_import import csv_rows
from trackrelay.worker.cli.file_import.csv_rows import Columns
from trackrelay.worker.cli.file_import.import_source import Line


def read(tmp_path: Path, text: str | bytes, delimiter: str = ",", **columns: Any) -> list[Line]:
    file = tmp_path / "people.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    meaning: Any = {"kind": "identify", "id": "id"} | columns
    with file.open("rb") as opened:
        return list(csv_rows.read_csv(opened, "people.csv", Columns(**meaning), delimiter))


def document(tmp_path: Path, text: str, **columns: Any) -> Any:
    (line,) = read(tmp_path, text, **columns)
    assert not line.problem
    return line.document


def test_cells_are_text_unless_said_otherwise(tmp_path: Path) -> None:
    text = "id,plan,age,vip,since\n42,pro,36,yes,2024-01-01T00:00:00Z\n"

    assert document(tmp_path, text)["attributes"] == {
        "plan": "pro",
        "age": "36",
        "vip": "yes",
        "since": "2024-01-01T00:00:00Z",
    }
    said = {"numbers": ("age",), "booleans": ("vip",), "times": ("since",)}
    assert document(tmp_path, text, **said)["attributes"] == {
        "plan": "pro",
        "age": 36,
        "vip": True,
        "since": 1_704_067_200,
    }


def test_an_empty_cell_says_nothing_rather_than_taking_the_attribute_away(tmp_path: Path) -> None:
    assert document(tmp_path, "id,plan,age\n42,,36\n")["attributes"] == {"age": "36"}


def test_attributes_can_be_chosen(tmp_path: Path) -> None:
    text = "id,a,b,c\n42,1,2,3\n"
    assert document(tmp_path, text, only=("b",))["attributes"] == {"b": "2"}
    assert document(tmp_path, text, skip=("b",))["attributes"] == {"a": "1", "c": "3"}


def test_an_event_has_a_name_a_time_and_a_person(tmp_path: Path) -> None:
    text = "mail,what,at,ref,total\nada@example.com,ordered,1700000000,A-1,12.5\n"
    columns: dict[str, Any] = {
        "kind": "event",
        "id": "mail",
        "id_type": "email",
        "name_column": "what",
        "timestamp": "at",
        "idempotency_key": "ref",
        "numbers": ("total",),
    }
    assert document(tmp_path, text, **columns) == {
        "type": "person",
        "action": "event",
        "identifiers": {"email": "ada@example.com"},
        "name": "ordered",
        "timestamp": 1_700_000_000,
        "idempotency_key": "A-1",
        "attributes": {"total": 12.5},
    }


def test_an_event_of_somebody_anonymous_is_an_anonymous_event(tmp_path: Path) -> None:
    made = document(
        tmp_path,
        "visitor\nv-1\n",
        kind="event",
        id="visitor",
        id_type="anonymous_id",
        name="looked",
    )
    assert (made["type"], made["identifiers"]) == ("anonymous", {"anonymous_id": "v-1"})


def test_quotes_line_breaks_in_cells_other_delimiters_and_a_byte_order_mark_are_read(
    tmp_path: Path,
) -> None:
    text = '\ufeffid;note\n1;"a; ""b""\nc"\n2;d\n'
    first, second = read(tmp_path, text, ";")
    assert first.document is not None
    assert first.document["attributes"] == {"note": 'a; "b"\nc'}
    assert (first.number, second.number) == (2, 4)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (b"42,x", "has 2 cells; the header has 3"),
        (b"42,x,1,2", "has 4 cells; the header has 3"),
        (b"42,x,many", "column 'age': 'many' is not a number"),
        (b"42,x,nan", "column 'age': 'nan' is not a number"),
        (b"42,\xff,1", "not UTF-8"),
    ],
)
def test_a_bad_row_is_said_and_the_next_one_is_read(
    tmp_path: Path, row: bytes, problem: str
) -> None:
    bad, good = read(tmp_path, b"id,plan,age\n" + row + b"\n43,pro,2\n", numbers=("age",))
    assert (bad.number, bad.problem, bad.document) == (2, problem, None)
    assert good.document is not None


def test_a_time_or_a_truth_that_is_none_is_said(tmp_path: Path) -> None:
    (line,) = read(tmp_path, "id,since\n42,yesterday\n", times=("since",))
    assert "'yesterday' is not a time such as 1767225600 or 2026-01-31" in line.problem
    (line,) = read(tmp_path, "id,vip\n42,perhaps\n", booleans=("vip",))
    assert "'perhaps' is neither true nor false" in line.problem


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
def test_options_that_do_not_go_together_are_said(
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
    said = (str(file), "--as", "identify", "--id-column", "who")

    answer = run("import", *said)

    assert answer.out == "1 operation enqueued, 2 lines rejected.\n"
    assert answer.lines[:2] == [
        "line 2: column 'who' holds what looks like a person's email: add --id-type email, or --id-type id if it is your "
        "id for the person",
        "line 4: column 'who' holds what looks like a person's cio_id: add --id-type cio_id, or --id-type id if it is "
        "your id for the person",
    ]
    assert (
        run("import", *said, "--id-type", "id").out == "3 operations enqueued, 0 lines rejected.\n"
    )


def test_a_time_without_a_zone_means_what_the_command_says(
    harness: Harness, run: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("who,at,due\n42,2026-07-01T12:00,2026-07-02 12:00\n43,2026-07-01T12:00Z,\n")
    said = (
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

    assert "naive datetime" in run("import", *said, "--time", "due").lines[0]
    answer = run(
        "import",
        *said,
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


def test_a_zone_that_is_none_is_said(run: CommandLine, tmp_path: Path) -> None:
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
