"""The history of a dead letter, and its bound: the first entries and the newest stay.

A letter may be replayed for ever, and each replay adds two entries. Its row is written anew with
each of them, and people read it as a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Entries that stay: how it died for the first time, and what happened lately.
FIRST, NEWEST = 20, 80
#: One more entry says how many were left out between them.
MAX_ENTRIES = FIRST + 1 + NEWEST
#: What that entry is called.
LEFT_OUT = "left_out"

# Entries that are left out may include an earlier one of this kind. `died_at` is what
# `DeadLetter.first_died_at` needs of the replays among them.
_BOUNDED = f"""(
    SELECT CASE WHEN jsonb_array_length(entries) <= {MAX_ENTRIES} THEN entries ELSE
        jsonb_path_query_array(entries, '$[0 to {FIRST - 1}]') || (
            SELECT jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
                'what', '{LEFT_OUT}',
                'entries', sum(coalesce(CAST(entry ->> 'entries' AS bigint), 1)),
                'at', entries -> -{NEWEST + 1} -> 'at',
                'died_at', min(CAST(entry ->> 'died_at' AS float8)))))
            FROM jsonb_path_query(entries, '$[{FIRST} to last - {NEWEST}]') AS entry
        ) || jsonb_path_query_array(entries, '$[last - {NEWEST - 1} to last]')
    END FROM (SELECT {{entries}} AS entries) AS whole)"""


def bounded(entries: str) -> str:
    """Return SQL for a history without the entries that are too many.

    Args:
        entries: SQL for the whole history, the oldest entry first.
    """
    return _BOUNDED.format(entries=entries)


def appended(history: str, entries: str) -> str:
    """Return SQL for a stored history to which ``entries`` are added."""
    return bounded(f"{history} || {entries}")


def left_out_text(entry: Mapping[str, Any]) -> str:
    """Return what an entry says about those that were left out; "" of any other entry."""
    if entry.get("what") != LEFT_OUT:
        return ""
    return (
        f"{entry.get('entries')} entries; the history keeps the first {FIRST} "
        f"and the newest {NEWEST}"
    )
