"""A line of a file, before anything was checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """One line (of CSV: one row), with what could be made of it."""

    #: From 1, as editors count.
    number: int
    #: The operation it describes, unchecked; None if it describes none.
    document: dict[str, Any] | None = None
    #: What stands there, if it describes none.
    text: str = ""
    #: Why it describes none, or empty.
    problem: str = ""
