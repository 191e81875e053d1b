"""The result of a check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from trackrelay.operations.coercion import JSON

#: An operation as the caller passed it.
Document: TypeAlias = Mapping[str, Any]


class Checked(msgspec.Struct):
    """A checked document, and what the validation needs beside it."""

    document: dict[str, JSON]
    #: The ordering keys.
    keys: tuple[str, ...]
    #: Distinguishes operations with the same key and idempotency key: an event's name, a segment's
    #: id.
    name: str = ""
    #: Whether it gets the time of the store that accepts it.
    stamp: bool = False
