"""Values in the form that Postgres accepts: arrays as text, and text without refused characters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

# Psycopg converts arrays element by element. That took a sixth of a worker's time. One text for
# each array takes almost none.


def text_array(values: Iterable[str | None]) -> str:
    """Return ``{"a","b",NULL}``, for a parameter that is cast to ``text[]``."""
    quoted = [
        "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        for value in values
    ]
    return "{" + ",".join(quoted) + "}"


def number_array(values: Iterable[float | int | None]) -> str:
    """Return ``{1,2.5,NULL}``, for a parameter that is cast to an array of numbers."""
    return "{" + ",".join(["NULL" if value is None else repr(value) for value in values]) + "}"


def bool_array(values: Iterable[bool]) -> str:
    """Return ``{t,f}``, for a parameter that is cast to ``bool[]``."""
    return "{" + ",".join(["t" if value else "f" for value in values]) + "}"


def sanitize_text(text: str | None) -> str | None:
    """Return ``text`` without NUL and without lone surrogates, which Postgres refuses in text."""
    if text is None:
        return None
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def sanitized_json(value: Any) -> str:
    """Return ``value`` as JSON without an escaped NUL, which Postgres refuses in jsonb."""
    text = msgspec.json.encode(value).decode()
    # In `\\u0000` the backslash is escaped, so it stands for no NUL: rewrite such backslashes
    # first.
    return (
        text
        if "\\u0000" not in text
        else text.replace("\\\\", "\\u005c").replace("\\u0000", "\\ufffd")
    )
