"""A fault, as it is asked for."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Kind = Literal[
    "status", "delay", "hang", "drip", "close_before", "close_after", "body", "redirect", "reject"
]

#: The status of an answer when the fault does not say: by kind.
_USUAL_STATUS = {"status": 503, "body": 200, "redirect": 307, "reject": 400}


#: The longest that a fault delays or holds, the most errors for an operation, the longest header it sends.
MAX_SECONDS, MAX_ERRORS, MAX_HEADER = 86_400, 100, 2_000


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which requests, or which operations in them; what is left out matches everything."""

    method: str | None = None
    #: How the path begins.
    path: str | None = None
    type: str | None = None
    action: str | None = None
    name: str | None = None
    #: A key of the operation: `id:42`, `object:1:acme`.
    identifier: str | None = None
    #: Part of the body as it was sent; for `reject`, of the operation's.
    contains: str | None = None

    @property
    def about_operations(self) -> bool:
        """Does it ask about operations, rather than about the request alone?"""
        return any(
            part is not None for part in (self.type, self.action, self.name, self.identifier)
        )


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to misbehave.

    status        answers `status`, by default with a body in the shape the API documents; nothing takes effect.
                  Of 207 for a batch: an empty list of errors, by which everything was accepted (say `effect`, too)
    body          answers `status` (200) with `body`, whatever it is
    redirect      answers `status` (307) and `location`
    delay         answers correctly, `seconds` late
    drip          answers correctly, the body byte by byte over `seconds`
    hang          holds the request for `seconds`, or until the fault is deleted, then closes the connection
    close_before  closes the connection before anything took effect
    close_after   closes it after everything took effect, unanswered
    reject        refuses the matching operations only: in a batch's 207, or with a 400, with `errors` for each
    """

    kind: Kind
    status: int | None = None
    retry_after: str | None = None
    content_type: str = "application/json"
    body: str | None = None
    location: str | None = None
    seconds: float | None = None
    #: status, body, redirect, hang: let the operations take effect first.
    effect: bool = False
    reason: str = "invalid"
    field: str = ""
    message: str = "refused by a fault of the sandbox"
    #: reject: how many errors the answer has for each operation that is refused.
    errors: int = 1
    match: Match = Match()
    #: The share of matches it strikes.
    rate: float = 1.0
    #: How often it strikes; None: until it is deleted.
    times: int | None = None
    #: How many matches pass first.
    skip: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate is {self.rate}; it is a share above 0, at most 1")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"status is {self.status}; it is between 200 and 599")
        if self.seconds is not None and not 0 <= self.seconds <= MAX_SECONDS:
            raise ValueError(f"seconds is {self.seconds}; it is between 0 and {MAX_SECONDS:,}")
        if not 1 <= self.errors <= MAX_ERRORS:
            raise ValueError(f"errors is {self.errors}; it is between 1 and {MAX_ERRORS}")
        for name in ("retry_after", "content_type", "location"):
            if not _fits_a_header(getattr(self, name)):
                raise ValueError(
                    f"{name} must be printable ASCII of at most {MAX_HEADER:,} characters"
                )
        if self.kind in ("delay", "drip") and self.seconds is None:
            raise ValueError(f"a fault of kind {self.kind} needs seconds")
        if self.kind == "body" and self.body is None:
            raise ValueError("a fault of kind body needs a body")

    @property
    def answered_status(self) -> int:
        """The status it answers with."""
        return self.status or _USUAL_STATUS[self.kind]


def _fits_a_header(text: str | None) -> bool:
    return text is None or (text.isascii() and text.isprintable() and len(text) <= MAX_HEADER)


def fault_from(document: Any) -> Fault:
    """Read a fault from JSON; `ValueError` says what is wrong with it."""
    try:
        return msgspec.convert(document, Fault)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
