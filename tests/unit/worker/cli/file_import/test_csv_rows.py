"""Rows of a CSV file become operations."""

from pathlib import Path
from typing import Any

import pytest

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


def test_cells_are_text_by_default(tmp_path: Path) -> None:
    text = "id,plan,age,vip,since\n42,pro,36,yes,2024-01-01T00:00:00Z\n"

    assert document(tmp_path, text)["attributes"] == {
        "plan": "pro",
        "age": "36",
        "vip": "yes",
        "since": "2024-01-01T00:00:00Z",
    }
    kinds = {"numbers": ("age",), "booleans": ("vip",), "times": ("since",)}
    assert document(tmp_path, text, **kinds)["attributes"] == {
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


def test_an_event_of_an_anonymous_person_is_an_anonymous_event(tmp_path: Path) -> None:
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
def test_a_bad_row_is_reported_and_the_next_one_is_read(
    tmp_path: Path, row: bytes, problem: str
) -> None:
    bad, good = read(tmp_path, b"id,plan,age\n" + row + b"\n43,pro,2\n", numbers=("age",))
    assert (bad.number, bad.problem, bad.document) == (2, problem, None)
    assert good.document is not None


def test_an_invalid_time_or_boolean_is_reported(tmp_path: Path) -> None:
    (line,) = read(tmp_path, "id,since\n42,yesterday\n", times=("since",))
    assert "'yesterday' is not a time such as 1767225600 or 2026-01-31" in line.problem
    (line,) = read(tmp_path, "id,vip\n42,perhaps\n", booleans=("vip",))
    assert "'perhaps' is neither true nor false" in line.problem
