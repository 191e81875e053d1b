"""A value that was refused before its document was made."""

from __future__ import annotations

from trackrelay.errors import InvalidOperationError


class Unacceptable:
    """Stands in a document for a refused value, so that the checks refuse the whole document.

    Args:
        given: the value that the caller passed.
        error: the refusal.
    """

    __slots__ = ("error", "given")

    def __init__(self, given: object, error: InvalidOperationError) -> None:
        self.given = given
        self.error = error

    def __str__(self) -> str:
        # It has no text. Code that needs one raises the refusal.
        raise self.error

    def __repr__(self) -> str:
        return "<refused>"
