"""What grows, and what bounds it: the page of the documentation, and what the stores hold."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
import sqlalchemy as sa

from trackrelay import outbox
from trackrelay.worker.storage.letter_history import MAX_ENTRIES
from trackrelay.worker.storage.tables import METADATA, VERSION_TABLE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "growth.md"
REDIS_PAGE = ROOT / "docs" / "reference" / "redis-keys.md"
_FIRST_CELL = re.compile(r"^\| (`[^|]+) \|", re.MULTILINE)
_PLACEHOLDERS = {
    "{shard}": "[0-9]+",
    "{lane}": "(live|bulk)",
    "{hour}": "[0-9]+",
    "{minute}": "[0-9]+",
}
_CODE = re.compile(r"`([^`]+)`")
_HISTORIES = "longest history of a dead letter"
#: What must never be larger, by its name.
LIMITS = {_HISTORIES: MAX_ENTRIES}

#: The largest plain table of which each partition is a part, with its rows and bytes.
_TABLES = sa.text("""
    SELECT coalesce(parent.relname, c.relname) AS name, sum(pg_total_relation_size(c.oid)) AS bytes,
        count(*) AS parts
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
    LEFT JOIN pg_class parent ON parent.oid = i.inhparent
    WHERE n.nspname = 'public' AND c.relkind = 'r' GROUP BY 1 ORDER BY 1
""")

_LONGEST_HISTORY = sa.text("""
    SELECT coalesce(max(jsonb_array_length(history)), 0) AS entries,
        coalesce(max(pg_column_size(history)), 0) AS bytes
    FROM trackrelay_dead_letters
""")


@dataclass(frozen=True)
class Size:
    """Rows of a table, elements of a key or a list, or bytes of a file."""

    count: int
    bytes: int


def documented(page: str, heading: str) -> list[str]:
    """Return what the first cells below a heading name, up to the next heading."""
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [
        name
        for cell in _FIRST_CELL.findall(section)
        if not cell.startswith("`#")
        for name in _CODE.findall(cell)
    ]


def known_tables() -> set[str]:
    """Return the tables that the product makes."""
    return {*METADATA.tables, VERSION_TABLE, outbox.table.name}


def known_keys() -> set[str]:
    """Return the keys that the reference lists."""
    sys.path.insert(0, str(ROOT / "docs" / "_ext"))
    try:
        import object_facts  # the module that writes the reference
    finally:
        sys.path.pop(0)
    generated, _ = object_facts.redis_keys()
    text = generated + REDIS_PAGE.read_text()
    return {
        name
        for cell in _FIRST_CELL.findall(text)
        for name in _CODE.findall(cell)
        if name.startswith("trackrelay:")
    }


def pattern(key: str) -> re.Pattern[str]:
    """Return what matches the keys that a documented one stands for."""
    parts = re.split(r"(\{[^}]*\}|…)", key)
    return re.compile(
        "".join(
            _PLACEHOLDERS.get(part, ".+" if part[:1] in ("{", "…") else re.escape(part))
            for part in parts
        )
        + "$"
    )


def tables(engine: sa.Engine) -> dict[str, Size]:
    """Return the size of each table, and of the longest list in one.

    Partitions count with their table, and are counted.
    """
    with engine.connect() as connection:
        sizes: dict[str, Size] = {}
        for name, size, parts in connection.execute(_TABLES).all():
            rows = connection.execute(sa.text(f'SELECT count(*) FROM "{name}"')).scalar_one()
            sizes[name] = Size(rows, size)
            if parts > 1:
                sizes[f"partitions of {name}"] = Size(parts, size)
        longest = connection.execute(_LONGEST_HISTORY).one()
        sizes[_HISTORIES] = Size(longest.entries, longest.bytes)
        return sizes


def keys(client: redis.Redis, names: list[str]) -> dict[str, Size]:
    """Return for each documented key how many elements its keys have in all, and their bytes.

    Keys that no name stands for are listed by their own names.
    """
    patterns = {name: pattern(name) for name in sorted(names, key=len, reverse=True)}
    sizes: dict[str, Size] = {}
    for raw in client.scan_iter("*", count=1000):
        key = raw.decode()
        name = next((each for each, fits in patterns.items() if fits.match(key)), key)
        before = sizes.get(name, Size(0, 0))
        used: Any = client.memory_usage(key, samples=0) or 0
        sizes[name] = Size(before.count + _elements(client, key), before.bytes + used)
    return sizes


def _elements(client: redis.Redis, key: str) -> int:
    kind: Any = client.type(key)
    match kind:
        case b"list":
            found: Any = client.llen(key)
        case b"hash":
            found = client.hlen(key)
        case b"set":
            found = client.scard(key)
        case b"zset":
            found = client.zcard(key)
        case b"stream":
            groups: Any = client.xinfo_groups(key)
            # Consumers are kept until somebody removes them.
            found = client.xlen(key) + sum(each["consumers"] for each in groups)
        case _:
            found = 1
    return int(found)
