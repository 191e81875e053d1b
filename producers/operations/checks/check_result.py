"""What a check is, and what it makes of a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from trackrelay.operations.coercion import JSON

#: An operation as somebody wrote it down.
Document: TypeAlias = Mapping[str, Any]


class Checked(msgspec.Struct):
    """A document as it goes to the worker, and what the gate needs to know of it."""

    document: dict[str, JSON]
    #: Whose order must hold.
    keys: tuple[str, ...]
    #: What tells operations of one kind and key apart under one idempotency key: an event's name, a segment's id.
    name: str = ""
    #: Whether it takes the time of the store that accepts it.
    stamp: bool = False
