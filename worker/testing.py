"""For tests of applications: a sandbox in the process, for :func:`trackrelay.testing.capture`."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from trackrelay.operations import limits
from trackrelay.operations.operation import Operation
from trackrelay.testing import DeliveryRefused as DeliveryRefused
from trackrelay.testing import DeliveryRefusedError

from .track_api import request_builder
from .track_api.request_builder import Request

try:
    from trackrelay.sandbox.in_process import InProcessSandbox
except ModuleNotFoundError as error:
    raise ImportError(
        f"trackrelay.worker.testing needs {error.name}: pip install 'trackrelay[worker,sandbox]'"
    ) from error

_V1_ONLY = ("anonymous", "form", "delivery.metric", "delivery.unsubscribe")


class DeliveringSandbox(InProcessSandbox):
    """A sandbox for ``capture(deliver_to=…)``, which behaves like Customer.io.

    Args:
        options: fields of ``trackrelay.sandbox.options.SandboxOptions``, e.g.
            ``event_merging=False``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._refused: list[str] = []

    def deliver(self, operation: Operation) -> None:
        """Take ``operation``, what goes with it first."""
        if operation.companion is not None:
            self.deliver(operation.companion)
        request = _request(operation)
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


def _request(operation: Operation) -> Request:
    body = _stamped(operation)
    if operation.type == "segment":
        return request_builder.segment([body])
    fits = limits.fits_v2(len(body), stamp=False)
    if operation.type in _V1_ONLY or operation.name in _V1_ONLY or not fits:
        return request_builder.single(operation.name, body)
    return request_builder.batch([body])


def _stamped(operation: Operation) -> bytes:
    if not operation.stamp:
        return operation.body
    return msgspec.json.encode(
        {**msgspec.json.decode(operation.body), "timestamp": int(time.time())}
    )
