"""Checks of manual segments."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from trackrelay.operations import limits
from trackrelay.operations.coercion import JSON
from trackrelay.operations.keys import key_of

from .check_result import Checked, Document
from .identifier_checks import BY_ID_EMAIL_OR_CIO_ID, of_person
from .lazy_values import resolved
from .rejection import RefusalError, within


def membership(document: Document) -> Checked:
    """Check that a person is added to a segment or removed from it."""
    segment_id = within("identifiers", _segment_id, document["identifiers"])
    kind, value = within("person", of_person, document["person"], BY_ID_EMAIL_OR_CIO_ID)
    clean: dict[str, JSON] = {
        "type": "segment",
        "action": str(document["action"]),
        "identifiers": {"segment_id": segment_id},
        "person": {kind: value},
    }
    return Checked(clean, (key_of(kind, value),), name=str(segment_id))


def _segment_id(identifiers: object) -> int:
    identifiers = resolved(identifiers)
    only = isinstance(identifiers, (dict, Mapping)) and list(islice(identifiers, 2)) == [
        "segment_id"
    ]
    given = resolved(identifiers["segment_id"] if only else None)  # type: ignore[index]
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) <= 10:
        given = int(given)
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= limits.SEGMENT_ID:
        raise RefusalError(
            f"is not a segment's id: a whole number from 1 to {limits.SEGMENT_ID:,}",
            limit=f"1 to {limits.SEGMENT_ID:,}",
            actual="something else",
            at=("segment_id",),
        )
    return int(given)
