"""Text as Postgres keeps it: without NUL, which it takes neither in text nor in jsonb."""

from __future__ import annotations

from typing import Any

import msgspec


def plain(text: str | None) -> str | None:
    """``text`` without NUL."""
    return None if text is None else text.replace("\x00", "\ufffd")


def as_json(value: Any) -> str:
    """``value`` as JSON without an escaped NUL."""
    text = msgspec.json.encode(value).decode()
    # An escaped backslash before u0000 is not one.
    return text if "\\u0000" not in text else text.replace("\\\\", "\\u005c").replace("\\u0000", "\\ufffd")
