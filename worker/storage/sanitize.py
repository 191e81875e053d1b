"""Text as Postgres keeps it: valid Unicode without NUL, which it takes neither in text nor in jsonb."""

from __future__ import annotations

from typing import Any

import msgspec


def sanitize_text(text: str | None) -> str | None:
    """``text`` without NUL and without half characters."""
    if text is None:
        return None
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def sanitized_json(value: Any) -> str:
    """``value`` as JSON without an escaped NUL."""
    text = msgspec.json.encode(value).decode()
    # An escaped backslash before u0000 is not one.
    return (
        text
        if "\\u0000" not in text
        else text.replace("\\\\", "\\u005c").replace("\\u0000", "\\ufffd")
    )
