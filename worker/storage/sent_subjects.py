"""The memory of what was sent: one row for each remembered person or object."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from .pg_values import number_array, sanitized_json, text_array

_LOAD = sa.text("""
    WITH found AS (
        SELECT * FROM trackrelay_sent WHERE key = ANY(CAST(:keys AS text[])) ORDER BY key
        FOR UPDATE)
    SELECT CAST(extract(epoch FROM now()) AS float8) AS now, found.key,
        CAST(found.address AS text) AS address, CAST(found.items AS text) AS items,
        CAST(extract(epoch FROM found.due_at) AS float8) AS due_at, found.tries,
        CAST(extract(epoch FROM found.last_sent_at) AS float8) AS last_sent_at
    FROM (SELECT 1) AS one LEFT JOIN found ON true
""")

_SAVE = sa.text("""
    INSERT INTO trackrelay_sent (key, address, items, due_at, tries, last_sent_at)
    SELECT key, CAST(address AS jsonb), CAST(items AS jsonb),
        to_timestamp(due_at), tries, to_timestamp(last_sent_at)
    FROM unnest(CAST(:keys AS text[]), CAST(:addresses AS text[]), CAST(:items AS text[]),
        CAST(:due AS float8[]), CAST(:tries AS int[]), CAST(:sent AS float8[]))
        AS row (key, address, items, due_at, tries, last_sent_at)
    ON CONFLICT (key) DO UPDATE SET
        address = excluded.address, items = excluded.items, due_at = excluded.due_at,
        tries = excluded.tries, last_sent_at = excluded.last_sent_at
""")

_COLUMNS = """
    key, CAST(address AS text) AS address, CAST(items AS text) AS items,
    CAST(extract(epoch FROM due_at) AS float8) AS due_at, tries,
    CAST(extract(epoch FROM last_sent_at) AS float8) AS last_sent_at
"""
_DUE = sa.text(f"""
    SELECT {_COLUMNS} FROM trackrelay_sent WHERE due_at <= now() ORDER BY due_at LIMIT :limit
""")
_AMONG = sa.text(f"SELECT {_COLUMNS} FROM trackrelay_sent WHERE key = ANY(CAST(:keys AS text[]))")
_SINCE = sa.text(f"""
    SELECT {_COLUMNS} FROM trackrelay_sent WHERE last_sent_at >= to_timestamp(:since)
    ORDER BY random() LIMIT :limit
""")
_PUT_OFF = sa.text("""
    UPDATE trackrelay_sent SET tries = tries + 1, due_at = now() + make_interval(secs => :delay_s)
    WHERE key = :key
""")
_PRUNE = sa.text("""
    WITH old AS (SELECT key FROM trackrelay_sent
        WHERE last_sent_at < now() - make_interval(secs => :window_s)
        LIMIT :chunk FOR UPDATE SKIP LOCKED)
    DELETE FROM trackrelay_sent s USING old WHERE s.key = old.key
""")

PRUNE_CHUNK = 5_000

_FORGET = sa.text("DELETE FROM trackrelay_sent WHERE key = ANY(CAST(:keys AS text[]))")


class Item(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One thing that was sent. All times are unix seconds."""

    #: A keyed digest of the value; "" if there is none, as for an event.
    digest: str
    #: The type of the value, or what must be true of the item.
    tag: str
    job: str
    delivered_at: float
    #: The time that Customer.io compares: the operation's own, or that of its delivery.
    timestamp: float
    #: A digest of the value without its type and precision; "" if that is the same.
    loose: str = ""
    operation: str = ""
    #: Comparisons that did not find it.
    tries: int = 0
    #: Whether it has a verdict.
    is_done: bool = False
    #: Whether it is rightly nothing if the person did not exist.
    is_conditional: bool = False
    #: The ``traceparent`` of the call; "" if it was not recorded.
    trace: str = ""


class Subject(msgspec.Struct, kw_only=True):
    """A person or an object, by the key under which jobs were sent."""

    key: str
    #: The identifiers with which the App API finds it, and for a merge those of the primary.
    address: dict[str, Any]
    items: dict[str, Item]
    #: None: every item has a verdict.
    due_at: float | None
    tries: int = 0
    last_sent_at: float


_items = msgspec.json.Decoder(dict[str, Item])


class Loaded(msgspec.Struct, kw_only=True):
    """Subjects by key, locked, and the time of the transaction."""

    now: float
    subjects: dict[str, Subject]


def load(connection: sa.Connection, keys: Collection[str]) -> Loaded:
    """Lock and return the remembered subjects among ``keys``."""
    rows = connection.execute(_LOAD, {"keys": text_array(sorted(keys))}).all()
    return Loaded(now=rows[0].now, subjects={row.key: subject(row) for row in rows if row.key})


def subject(row: Any) -> Subject:
    """Return the subject in a row that has ``address`` and ``items`` as texts."""
    return Subject(
        key=row.key,
        address=msgspec.json.decode(row.address),
        items=_items.decode(row.items),
        due_at=row.due_at,
        tries=row.tries,
        last_sent_at=row.last_sent_at,
    )


def save(connection: sa.Connection, subjects: Sequence[Subject]) -> None:
    """Write subjects; forget those without an item. The caller has locked them, and commits."""
    kept = sorted((each for each in subjects if each.items), key=lambda each: each.key)
    if kept:
        connection.execute(
            _SAVE,
            {
                "keys": text_array([each.key for each in kept]),
                "addresses": text_array([sanitized_json(each.address) for each in kept]),
                "items": text_array([sanitized_json(each.items) for each in kept]),
                "due": number_array([each.due_at for each in kept]),
                "tries": number_array([each.tries for each in kept]),
                "sent": number_array([each.last_sent_at for each in kept]),
            },
        )
    if gone := [each.key for each in subjects if not each.items]:
        forget(connection, gone)


def forget(connection: sa.Connection, keys: Collection[str]) -> int:
    """Forget what was sent of ``keys``; return how many rows there were."""
    return connection.execute(_FORGET, {"keys": text_array(sorted(keys))}).rowcount


def due(connection: sa.Connection, limit: int) -> list[Subject]:
    """Return subjects to be compared now, the oldest first."""
    return [subject(row) for row in connection.execute(_DUE, {"limit": limit})]


def among(connection: sa.Connection, keys: Collection[str]) -> list[Subject]:
    """Return the remembered subjects among ``keys``."""
    return [subject(row) for row in connection.execute(_AMONG, {"keys": text_array(sorted(keys))})]


def sample(connection: sa.Connection, since: float, limit: int | None) -> list[Subject]:
    """Return any ``limit`` subjects to which something was sent since a time, in unix seconds."""
    rows = connection.execute(_SINCE, {"since": since, "limit": limit})
    return [subject(row) for row in rows]


def put_off(connection: sa.Connection, key: str, delay_s: float) -> None:
    """Compare a subject later, as the App API could not be asked about it."""
    connection.execute(_PUT_OFF, {"key": key, "delay_s": delay_s})


def prune(connection: sa.Connection, window: timedelta) -> int:
    """Forget one chunk of subjects to which nothing was sent within ``window``; return how many."""
    values = {"window_s": window.total_seconds(), "chunk": PRUNE_CHUNK}
    return connection.execute(_PRUNE, values).rowcount
