"""A value that was refused before the document that it belongs to was made."""

from __future__ import annotations

from trackrelay.errors import InvalidOperationError


class Unacceptable:
    """Stands in a document for what was refused, so that the checks refuse the whole of it, and all of it is known.

    Args:
        given: what was passed.
        error: the refusal.
    """

    __slots__ = ("error", "given")

    def __init__(self, given: object, error: InvalidOperationError) -> None:
        self.given = given
        self.error = error

    def __str__(self) -> str:
        # It has no text: whoever needs one gets the refusal.
        raise self.error

    def __repr__(self) -> str:
        return "<refused>"
