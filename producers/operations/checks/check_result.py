"""What a check is, and what it makes of a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    #: Whether the document has an ``id`` that Customer.io de-duplicates by.
    carries_id: bool = False
    #: Whether it takes the time of the store that accepts it.
    stamp: bool = False


class Rule(msgspec.Struct, frozen=True):
    """The check of one kind of operation, and the fields its documents have."""

    check: Callable[[Document], Checked]
    required: frozenset[str]
    fields: frozenset[str]


def rule(check: Callable[[Document], Checked], required: str, optional: str = "") -> Rule:
    """A rule; the names of fields beside ``type`` and ``action`` are written with blanks between them."""
    needed = frozenset(["type", "action", *required.split()])
    return Rule(check, needed, needed | frozenset(optional.split()))
