"""No command prints a stored string that would steer the terminal, neither there nor to a pipe."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from trackrelay import Producer, operations
from trackrelay.operations.ids import new_id
from trackrelay.worker.storage.columns import ColumnSet
from trackrelay.worker.storage.tables import BACKLOG, DEAD_LETTERS, LEDGER, METADATA

#: Each begins with its own letter, which names the one that got through.
HOSTILE = (
    "a\x1b[2Jb\x1b]0;owned\x07c\x1b[8md\x9b8me\x9d0;owned\x9cf"
    "\x90g\u202eh\u2066i\x08j\x7fk\rl\u200bm\u2028n\x1bc"
)
OURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\x1b\[\?25[lh]")
#: Of our own sequences, what clears the screen or conceals.
NEVER = ("\x1b[2J", "\x1b[8m", "\x1b]", "\x1bc")
UNSAFE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2028\u202e\u2066\ud800-\udfff]")

_FIXED: dict[str, Any] = {
    "key": "id:42",
    "other_key": None,
    "keys": ["id:42", HOSTILE],
    "lane": "live",
    "shard": 0,
    "shards": [0],
    "parts": 1,
    "sends": True,
    "status": 400,
    "attempts": 2,
    "body": {
        "type": "person",
        "identifiers": {"id": HOSTILE},
        "action": "event",
        "name": HOSTILE,
        HOSTILE: [HOSTILE],
    },
    "history": [
        {
            "at": 1_700_000_000.0,
            "what": HOSTILE,
            "who": HOSTILE,
            "note": HOSTILE,
            "field": HOSTILE,
            "error": HOSTILE,
        }
    ],
    "state": "open",
    "raw": None,
}


def insert(harness: Harness, columns: ColumnSet, **changes: Any) -> str:
    """A row with hostile text in every text column that is not fixed above."""
    job, table = new_id(), METADATA.tables[columns.name]
    values: dict[str, Any] = {}
    for column in table.columns:
        if column.name in ("id", "job_id"):
            values[column.name] = job
        elif column.name in _FIXED:
            values[column.name] = _FIXED[column.name]
        elif isinstance(column.type, sa.Text):
            values[column.name] = f"{column.name} {HOSTILE}"
        elif isinstance(column.type, sa.DateTime):
            values[column.name] = datetime.now(UTC)
        elif isinstance(column.type, sa.Integer) and column.server_default is not None:
            continue
        elif isinstance(column.type, sa.Integer) and not column.nullable:
            values[column.name] = 1
        elif isinstance(column.type, sa.Boolean):
            values[column.name] = False
    with harness.engine.begin() as connection:
        connection.execute(sa.insert(table), values | changes)
    return job


@pytest.fixture
def stored(harness: Harness) -> dict[str, str]:
    """A job in every place, all of whose strings are hostile; ids by place."""
    producer = Producer(redis_url=harness.settings["TRACKRELAY_REDIS_URL"], source=HOSTILE)
    queued = producer.enqueue(operations.track("42", "seen", {"x": HOSTILE}))
    producer.close()
    harness.redis.hset(
        "trackrelay:breaker", mapping={"state": "halted", "reason": HOSTILE, "at": "1700000000"}
    )
    return {
        "queued": queued,
        "dead": insert(harness, DEAD_LETTERS),
        "undecodable": insert(
            harness, DEAD_LETTERS, body=sa.null(), raw=HOSTILE.encode(), state="discarded"
        ),
        "waiting": insert(harness, BACKLOG),
        "delivered": insert(harness, LEDGER),
    }


def unsafe(written: str) -> list[str]:
    """What in a terminal's input is not ours."""
    return [*UNSAFE.findall(OURS.sub("", written)), *(each for each in NEVER if each in written)]


def test_no_stored_string_steers_a_terminal(stored: dict[str, str], run: CommandLine) -> None:
    commands = [
        ["find", "--key", "id:42"],
        *(["find", stored[name]] for name in ("queued", "dead")),
        ["dead-letters", "list", "--state", "all"],
        ["dead-letters", "list", "--state", "all", "--json"],
        *(["dead-letters", "show", stored[name]] for name in ("dead", "undecodable")),
        ["dead-letters", "export", "--state", "all"],
        ["replay", "--dry-run"],
        ["status"],
        ["check"],
        ["enqueue", HOSTILE],
        ["find", "--key", HOSTILE],
        ["status", HOSTILE],
    ]

    written = {" ".join(command): run.terminal(*command) for command in commands}

    assert {command: unsafe(text) for command, text in written.items() if unsafe(text)} == {}
    assert "Traceback" not in "".join(written.values())
    # The stored text is still shown.
    assert "\\u001b]0;owned" in written["dead-letters list --state all"].replace("\r\n    ", "")


def test_what_is_exported_is_what_was_stored(stored: dict[str, str], run: CommandLine) -> None:
    answer = run("dead-letters", "export", "--id", stored["dead"])

    assert unsafe(answer.out) == []
    line = json.loads(answer.out)
    assert line["operation"]["name"] == HOSTILE
    assert line["dead_letter"]["error"] == f"error {HOSTILE}"
    shown = msgspec.json.decode(run("dead-letters", "show", stored["dead"], "--json").out)
    assert shown["document"]["identifiers"]["id"] == HOSTILE
