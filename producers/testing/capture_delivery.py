"""Delivery of captured operations."""

from __future__ import annotations

from typing import Protocol

from trackrelay.operations.operation import Operation


class DeliveryRefused(AssertionError):
    """The sandbox refused an operation, as Customer.io would."""


class Delivers(Protocol):
    """Takes operations one by one, in order, as ``trackrelay.worker.testing.DeliveringSandbox`` does."""

    def deliver(self, operation: Operation) -> None:
        """Take an operation, after its companion."""

    def raise_if_refused(self) -> None:
        """Raise DeliveryRefused if any was refused."""
