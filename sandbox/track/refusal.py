"""Why an operation, or a whole request, is not accepted."""

from __future__ import annotations


class Refused(Exception):
    """One operation is refused; v2 shows all three, `times` over, v1 only the message."""

    def __init__(self, field: str, message: str, reason: str = "invalid", times: int = 1) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.reason = reason
        self.times = times


class Malformed(Refused):
    """The request as a whole is refused: nothing in it takes effect."""
