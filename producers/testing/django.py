"""Capture operations in the tests of a Django project, where jobs wait for a commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.db import DEFAULT_DB_ALIAS
from django.test import TestCase

from .capture_context import Delivers, capture
from .captured import Captured


class CapturingTestCase(TestCase):  # type: ignore[misc]
    """Django's ``TestCase``, with a block whose end counts as a commit.

    A ``TestCase`` itself never commits.

    Use it like this::

        class CheckOutTest(CapturingTestCase):
            def test_an_order_is_told(self):
                with self.capture_operations() as captured:
                    self.client.post("/check-out/")
                captured.assert_tracked("42", "order_completed", total=129.5)
    """

    @contextmanager
    def capture_operations(self, *, deliver_to: Delivers | None = None) -> Iterator[Captured]:
        """Keep what is enqueued inside the block. At its end, run what waits for a commit.

        This covers every database that the test case names in ``databases``.

        Args:
            deliver_to: a sandbox that gets every operation, see
                :class:`trackrelay.worker.testing.DeliveringSandbox`.

        Raises:
            DeliveryRefusedError: at the end, if the sandbox refused something.
        """
        # `default` comes last, because hooks of other databases may wait for its commit.
        aliases = sorted(self.databases, key=lambda alias: alias != DEFAULT_DB_ALIAS)
        with capture(deliver_to=deliver_to) as captured, ExitStack() as commits:
            for alias in aliases:
                commits.enter_context(self.captureOnCommitCallbacks(using=alias, execute=True))
            yield captured
