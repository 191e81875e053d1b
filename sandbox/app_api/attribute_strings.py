"""Attribute values as the App API shows them: strings, all of them."""

from __future__ import annotations

from typing import Any

import msgspec


def text(value: Any) -> str:
    """A value as a string: true, 5, 12.5, and lists and objects as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
