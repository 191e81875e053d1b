"""Arrays as Postgres writes them. Psycopg makes them an element at a time, by each element's type; that was a sixth of a worker's work."""

from __future__ import annotations

from collections.abc import Iterable


def text_array(values: Iterable[str | None]) -> str:
    """``{"a","b",NULL}``, for a parameter that is cast to ``text[]``."""
    quoted = [
        "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for value in values
    ]
    return "{" + ",".join(quoted) + "}"


def number_array(values: Iterable[float | int | None]) -> str:
    """``{1,2.5,NULL}``, for a parameter that is cast to ``int[]``, ``bigint[]`` or ``float8[]``."""
    return "{" + ",".join(["NULL" if value is None else repr(value) for value in values]) + "}"


def bool_array(values: Iterable[bool]) -> str:
    """``{t,f}``, for a parameter that is cast to ``bool[]``."""
    return "{" + ",".join(["t" if value else "f" for value in values]) + "}"
