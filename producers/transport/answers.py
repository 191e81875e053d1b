"""What comes back from a request over HTTP."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    body: bytes
    #: The Retry-After header, as sent.
    retry_after: str | None = None
    #: The Date header, as sent: the time of the answer by the endpoint's clock.
    date: str | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No usable response: a timeout, or a connection that failed or broke."""

    error: str
    #: Whether there was a response, which is longer than any that is documented.
    is_too_long: bool = False
