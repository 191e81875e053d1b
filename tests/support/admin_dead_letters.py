"""Dead letters that no producer of ours made, and their reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

LIST = "/admin/trackrelay_ops/deadletter/"
#: Rows that differ from an ordinary one in what they hold beside the document.
ROWS: list[dict[str, str]] = [
    {"enqueued_at": "200000-01-01"},
    {"enqueued_at": "0044-03-15 BC"},
    {"enqueued_at": "infinity"},
    {"key": "<b>" * 1_000, "error": "e" * 100_000},
]
_TYPES = {
    "job_id": "text",
    "body": "json",
    "enqueued_at": "timestamptz",
    "key": "text",
    "error": "text",
}


def copies(engine: sa.Engine, letter: str, rows: Iterable[Mapping[str, str]]) -> list[str]:
    """Copy a dead letter for each of ``rows``, with these columns changed; return the ids."""
    columns = sa.inspect(engine).get_columns("trackrelay_dead_letters")
    names = [each["name"] for each in columns]
    ids = []
    with engine.begin() as connection:
        for number, row in enumerate(rows):
            values = {**row, "job_id": f"HOSTILE{number:02}"}
            chosen = [
                f"CAST(:{each} AS {_TYPES[each]})" if each in values else each for each in names
            ]
            connection.execute(
                sa.text(
                    f"INSERT INTO trackrelay_dead_letters ({', '.join(names)}) "
                    f"SELECT {', '.join(chosen)} FROM trackrelay_dead_letters "
                    "WHERE job_id = :letter"
                ),
                {**values, "letter": letter},
            )
            ids.append(values["job_id"])
    return ids


def content(response: Any) -> str:
    """All of an answer; a stream is made while it is read."""
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return str(body.decode())
