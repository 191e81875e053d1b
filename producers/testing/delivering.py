"""Delivering in this process, to a sandbox without a port."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any

import msgspec

from .. import limits
from ..operation import Operation

if TYPE_CHECKING:
    from sandbox.in_process import InProcessSandbox

_V1_ONLY = ("anonymous", "form", "delivery.metric", "delivery.unsubscribe")


class DeliveryRefused(AssertionError):
    """The sandbox refused what was enqueued, as Customer.io would have."""


def in_process_sandbox(**options: Any) -> InProcessSandbox:
    """A sandbox for ``capture(deliver_to=…)``: it knows people, merges, suppression, anonymous events, as Customer.io does.

    Args:
        options: fields of ``sandbox.options.SandboxOptions``, e.g. ``event_merging=False``.

    Raises:
        ImportError: it is not installed.
    """
    sandbox: InProcessSandbox = _module("sandbox.in_process").InProcessSandbox(**options)
    return sandbox


class Delivery:
    """Sends operations to a sandbox, each by itself, in order."""

    def __init__(self, sandbox: InProcessSandbox) -> None:
        self._sandbox = sandbox
        self._requests = _module("worker.customerio.requests")
        self._refused: list[str] = []

    def deliver(self, operation: Operation) -> None:
        """Send ``operation``, what goes with it first."""
        if operation.companion is not None:
            self.deliver(operation.companion)
        request = self._request(operation)
        answer = self._sandbox.send("POST", request.path, request.body)
        if answer.status not in (200, 204):
            self._refused.append(f"{operation.name} of {operation.keys[0]}: {answer.status} {answer.body.decode()}")

    def raise_if_refused(self) -> None:
        """Fail if anything was refused."""
        if self._refused:
            raise DeliveryRefused("the sandbox refused\n  " + "\n  ".join(self._refused))

    def _request(self, operation: Operation) -> Any:
        body = _stamped(operation)
        if operation.type == "segment":
            return self._requests.segment([body])
        fits = limits.fits_v2(len(body), stamp=False)
        if operation.type in _V1_ONLY or operation.name in _V1_ONLY or not fits:
            return self._requests.single(operation.name, body)
        return self._requests.batch([body])


def _stamped(operation: Operation) -> bytes:
    if not operation.stamp:
        return operation.body
    return msgspec.json.encode({**msgspec.json.decode(operation.body), "timestamp": int(time.time())})


def _module(name: str) -> Any:
    # At the call and not above: an application's tests that deliver nothing need neither.
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"delivering to a sandbox in a test needs {error.name}: pip install 'trackrelay[worker,sandbox]'"
        ) from error
