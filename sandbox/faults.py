"""Faults: what goes wrong, for which requests, and how often."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from trackrelay.sandbox.parsed_operations import Operation
from trackrelay.sandbox.rule_book import ActiveRule, Rule, RuleBook
from trackrelay.sandbox.track.track_messages import RefusalError

Kind = Literal[
    "status", "delay", "hang", "drip", "close_before", "close_after", "body", "redirect", "reject"
]

#: The status of an answer if the fault names none, by kind.
_DEFAULT_STATUS = {"status": 503, "body": 200, "redirect": 307, "reject": 400}
#: Limits of a delay, of the errors for one operation, and of a header.
MAX_SECONDS, MAX_ERRORS, MAX_HEADER = 86_400, 100, 2_000


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which requests a fault concerns, or which operations in them; None matches everything."""

    method: str | None = None
    #: The beginning of the path.
    path: str | None = None
    type: str | None = None
    action: str | None = None
    name: str | None = None
    #: A key of the operation: ``id:42``, ``object:1:acme``.
    identifier: str | None = None
    #: A part of the body; for ``reject``, a part of the operation's JSON.
    contains: str | None = None

    def concerns(self, traffic: Traffic) -> bool:
        """Return whether the request, or one of its operations, matches."""
        if not self.concerns_request(traffic) or not self.concerns_body(traffic.body):
            return False
        about_operations = (self.type, self.action, self.name, self.identifier)
        return about_operations == (None, None, None, None) or any(
            not isinstance(each, RefusalError) and self.concerns_operation(each)
            for each in traffic.operations
        )

    def concerns_request(self, traffic: Traffic) -> bool:
        """Return whether method and path match."""
        if self.method is not None and self.method.upper() != traffic.method:
            return False
        return self.path is None or traffic.path.startswith(self.path)

    def concerns_body(self, body: bytes) -> bool:
        """Return whether a body matches."""
        return self.contains is None or self.contains.encode() in body

    def concerns_operation(self, operation: Operation) -> bool:
        """Return whether type, action, name and identifier of an operation match."""
        return (
            self.type in (None, operation.type)
            and self.action in (None, operation.action)
            and self.name in (None, operation.name)
            and (self.identifier is None or self.identifier in operation.keys)
        )


class Fault(Rule, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way to misbehave.

    status        answers ``status``, by default with a body as the API documents it, and applies
                  no operation. A 207 for a batch has an empty list of errors; use ``effect``, too
    body          answers ``status`` (200) with ``body``
    redirect      answers ``status`` (307) with ``location``
    delay         answers correctly, but ``seconds`` late
    drip          answers correctly, but sends the body byte by byte over ``seconds``
    hang          holds the request for ``seconds``, or until the fault is deleted, then closes
                  the connection
    close_before  closes the connection before any operation takes effect
    close_after   closes the connection after all operations took effect, without an answer
    reject        refuses the matching operations only, each with ``errors`` errors: in the 207 of
                  a batch, or with a 400
    """

    kind: Kind
    status: int | None = None
    retry_after: str | None = None
    content_type: str = "application/json"
    body: str | None = None
    location: str | None = None
    seconds: float | None = None
    #: status, body, redirect, hang: apply the operations first.
    effect: bool = False
    reason: str = "invalid"
    field: str = ""
    message: str = "refused by a fault of the sandbox"
    #: reject: the number of errors in the answer for each refused operation.
    errors: int = 1
    match: Match = Match()

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: A value is out of range, or missing for this kind.
        """
        self.check_rate()
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"status is {self.status}; it must be between 200 and 599")
        if self.seconds is not None and not 0 <= self.seconds <= MAX_SECONDS:
            raise ValueError(f"seconds is {self.seconds}; it must be between 0 and {MAX_SECONDS:,}")
        if not 1 <= self.errors <= MAX_ERRORS:
            raise ValueError(f"errors is {self.errors}; it must be between 1 and {MAX_ERRORS}")
        for name in ("retry_after", "content_type", "location"):
            text: str = getattr(self, name) or ""
            if not (text.isascii() and text.isprintable() and len(text) <= MAX_HEADER):
                raise ValueError(
                    f"{name} must be printable ASCII of at most {MAX_HEADER:,} characters"
                )
        if self.kind in ("delay", "drip") and self.seconds is None:
            raise ValueError(f"a fault of kind {self.kind} needs seconds")
        if self.kind == "body" and self.body is None:
            raise ValueError("a fault of kind body needs a body")

    @property
    def answered_status(self) -> int:
        """The status of the answer."""
        return self.status or _DEFAULT_STATUS[self.kind]


def parse_fault(document: Any) -> Fault:
    """Return the fault that a JSON document describes.

    Raises:
        ValueError: The document describes none.
    """
    try:
        return msgspec.convert(document, Fault)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


class Traffic(msgspec.Struct):
    """The parts of a request by which faults are matched."""

    method: str
    path: str
    body: bytes
    operations: Sequence[Operation | RefusalError]


class ActiveFault(ActiveRule[Fault]):
    """A fault in force, with its counts."""

    def __init__(self, id: int, fault: Fault, outage: bool) -> None:
        super().__init__(id, fault)
        self.fault = fault
        self.outage = outage
        self.deleted = asyncio.Event()

    def view(self) -> dict[str, Any]:
        """Return the JSON of the fault for the control endpoints."""
        return super().view() | {"outage": self.outage}


class FaultBook(RuleBook[ActiveFault]):
    """All faults in force, in the order they were added; outages come first."""

    def add(self, fault: Fault, outage: bool = False) -> int:
        """Put a fault in force; return its number."""
        return self.put(ActiveFault(self.next_id(), fault, outage), first=outage)

    def delete(self, number: int) -> ActiveFault | None:
        """Delete a fault and release the requests that it holds; return it if it existed."""
        active = super().delete(number)
        if active is not None:
            active.deleted.set()
        return active

    def delete_all(self, *, outages_only: bool = False) -> None:
        """Delete all faults."""
        for active in self:
            if active.outage or not outages_only:
                self.delete(active.id)

    def hitting(self, traffic: Traffic) -> list[ActiveFault]:
        """Return the faults that hit a request: delays, then the first that decides its answer."""
        hitting: list[ActiveFault] = []
        for active in self:
            if active.fault.kind == "reject" or not active.fault.match.concerns(traffic):
                continue
            if active.hit(self.chance):
                hitting.append(active)
                if active.fault.kind != "delay":
                    break
        return hitting

    def with_rejections(
        self, traffic: Traffic, sources: Sequence[bytes]
    ) -> list[Operation | RefusalError]:
        """Return the operations of a request, those that a fault rejects replaced by a refusal."""
        rejecting = [
            active
            for active in self
            if active.fault.kind == "reject" and active.fault.match.concerns_request(traffic)
        ]
        if not rejecting:
            return list(traffic.operations)
        bodies: Iterable[bytes] = sources or itertools.repeat(traffic.body)
        return [
            self._reject(rejecting, each, body)
            for each, body in zip(traffic.operations, bodies, strict=False)
        ]

    def _reject(
        self, rejecting: list[ActiveFault], operation: Operation | RefusalError, body: bytes
    ) -> Operation | RefusalError:
        if isinstance(operation, RefusalError):
            return operation
        for active in rejecting:
            fault = active.fault
            if (
                fault.match.concerns_operation(operation)
                and fault.match.concerns_body(body)
                and active.hit(self.chance)
            ):
                return RefusalError(fault.field, fault.message, fault.reason, fault.errors)
        return operation
