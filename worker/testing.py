"""For tests of applications: a sandbox in the process, for :func:`trackrelay.testing.capture`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from trackrelay.operations import limits
from trackrelay.operations.keys import key_of
from trackrelay.operations.operation import Operation
from trackrelay.operations.payloads import person_identifiers
from trackrelay.operations.refs import PersonLike
from trackrelay.testing import DeliveryRefused as DeliveryRefused
from trackrelay.testing import DeliveryRefusedError

from .track_api import request_builder
from .track_api.request_builder import Request

try:
    from trackrelay.sandbox.in_process import InProcessSandbox
    from trackrelay.sandbox.rehearsal.outlooks import Outlook, UnknownPersonError
    from trackrelay.sandbox.sandbox_clock import span_text
except ModuleNotFoundError as error:
    raise ImportError(
        f"trackrelay.worker.testing needs {error.name}: pip install 'trackrelay[worker,sandbox]'"
    ) from error

_V1_ONLY = ("anonymous", "form", "delivery.metric", "delivery.unsubscribe")


class DeliveringSandbox(InProcessSandbox):
    """A sandbox for ``capture(deliver_to=…)``, which behaves like Customer.io.

    It also rehearses campaigns::

        box = DeliveringSandbox()
        box.define_campaign(
            "abandoned_cart", trigger="checkout_started", wait="1h", unless="order_completed"
        )
        with capture(deliver_to=box):
            client.post("/checkout")
        box.assert_would_send("abandoned_cart", "42")

    Args:
        report: a file to which assertions about campaigns and segments add a line when they hold;
            ``trackrelay checklist --rehearsal`` reads it.
        options: fields of ``trackrelay.sandbox.options.SandboxOptions``, e.g.
            ``event_merging=False``.
    """

    def __init__(self, *, report: str | Path | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._refused: list[str] = []
        self._report = report

    def deliver(self, operation: Operation) -> None:
        """Take ``operation``, what goes with it first."""
        if operation.companion is not None:
            self.deliver(operation.companion)
        request = _request(operation, int(self.now))
        answer = self.send("POST", request.path, request.body)
        if answer.status not in (200, 204):
            self._refused.append(
                f"{operation.name} of {operation.keys[0]}: {answer.status} {answer.body.decode()}"
            )

    def raise_if_refused(self) -> None:
        """Fail if anything was refused since the last time.

        Raises:
            DeliveryRefusedError: it says what, and why.
        """
        refused, self._refused = self._refused, []
        if refused:
            raise DeliveryRefusedError("the sandbox refused\n  " + "\n  ".join(refused))

    def assert_would_send(
        self, campaign: str, person: PersonLike, *, times: int | None = None
    ) -> None:
        """Assert that a campaign has sent its message to a person, or will.

        A journey that still waits counts as it would end if nothing else happened.

        Args:
            campaign: its name.
            person: as for ``track()``: an id or a ``Person``.
            times: exactly how often; left out, at least once.

        Raises:
            ValueError: there is no such campaign.
        """
        __tracebackhide__ = True  # end the traceback in the test
        key, found = self._outlook(campaign, person)
        if not found.sends:
            _fail(f"{campaign} would not be sent to {key}: {found.reason}", found.details)
        if times is not None and len(found.sends) != times:
            at = ", ".join(map(span_text, found.sends))
            sent = f"{campaign} would be sent to {key} {len(found.sends)} times, not {times}"
            _fail(f"{sent}: at {at}", found.details)
        self._note(campaign=campaign, sent=True, why="sent")

    def assert_would_not_send(self, campaign: str, person: PersonLike) -> None:
        """Assert that a campaign has not sent its message to a person, and will not.

        Raises:
            ValueError: there is no such campaign.
        """
        __tracebackhide__ = True
        key, found = self._outlook(campaign, person)
        if found.sends:
            _fail(f"{campaign} would be sent to {key}: {found.reason}", found.details)
        self._note(campaign=campaign, sent=False, why=str(found.end or "no trigger"))

    def assert_in_segment(self, segment: str, person: PersonLike) -> None:
        """Assert that a person is in a segment now.

        Raises:
            ValueError: there is no such segment.
        """
        __tracebackhide__ = True
        key, is_inside = self._membership(segment, person)
        if not is_inside:
            _fail(f"{key} is not in the segment {segment}", self.history(key))
        self._note(segment=segment, inside=True)

    def assert_not_in_segment(self, segment: str, person: PersonLike) -> None:
        """Assert that a person is not in a segment now.

        Raises:
            ValueError: there is no such segment.
        """
        __tracebackhide__ = True
        key, is_inside = self._membership(segment, person)
        if is_inside:
            _fail(f"{key} is in the segment {segment}", self.history(key))
        self._note(segment=segment, inside=False)

    def _outlook(self, campaign: str, person: PersonLike) -> tuple[str, Outlook]:
        __tracebackhide__ = True
        key = _key(person)
        try:
            return key, self.outlook(campaign, key)
        except UnknownPersonError as error:
            raise AssertionError(str(error)) from None

    def _membership(self, segment: str, person: PersonLike) -> tuple[str, bool]:
        __tracebackhide__ = True
        key = _key(person)
        try:
            return key, self.is_member(segment, key)
        except UnknownPersonError as error:
            raise AssertionError(str(error)) from None

    def _note(self, **proof: Any) -> None:
        """Add what was proved to the report."""
        if self._report is not None:
            with Path(self._report).open("a", encoding="utf-8") as report:
                report.write(json.dumps(proof) + "\n")


def _fail(message: str, details: str) -> None:
    __tracebackhide__ = True
    raise AssertionError(f"{message}\n\n{details}" if details else message)


def _key(person: PersonLike) -> str:
    ((kind, value),) = person_identifiers(person).items()
    return key_of(kind, value)


def _request(operation: Operation, now: int) -> Request:
    body = _stamped(operation, now)
    if operation.type == "segment":
        return request_builder.segment([body])
    fits = limits.fits_v2(len(body), stamp=False)
    if operation.type in _V1_ONLY or operation.name in _V1_ONLY or not fits:
        return request_builder.single(operation.name, body)
    return request_builder.batch([body])


def _stamped(operation: Operation, now: int) -> bytes:
    if not operation.stamp:
        return operation.body
    return msgspec.json.encode({**msgspec.json.decode(operation.body), "timestamp": now})
