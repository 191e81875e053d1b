"""Delivering what is captured, to whatever takes it."""

from __future__ import annotations

from typing import Protocol

from trackrelay.operations.operation import Operation


class DeliveryRefused(AssertionError):
    """The sandbox refused what was enqueued, as Customer.io would have."""


class Delivers(Protocol):
    """Takes operations, each by itself, in order; ``trackrelay.worker.testing.DeliveringSandbox`` is one."""

    def deliver(self, operation: Operation) -> None:
        """Take ``operation``, what goes with it first."""

    def raise_if_refused(self) -> None:
        """Raise DeliveryRefused if any was refused."""
