"""A finding: one thing that was looked at, and whether it is as it must be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "wrong", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found. Only ``wrong`` makes the check fail."""

    #: ``Settings``, ``Redis``, ``Postgres`` …
    area: str
    #: What was looked at.
    name: str
    state: State
    #: What was found and, unless it is ok, what is at stake and what to do.
    text: str
