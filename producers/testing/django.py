"""For the tests of a Django project: what is enqueued is captured, and what waits for a commit gets one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.db import DEFAULT_DB_ALIAS
from django.test import TestCase

from .capture_context import capture
from .capture_delivery import Delivers
from .captured import Captured


class CapturingTestCase(TestCase):  # type: ignore[misc]
    """Django's ``TestCase``, with a block whose end stands for the commit that a ``TestCase`` never makes.

    Use it like this::

        class CheckOutTest(CapturingTestCase):
            def test_an_order_is_told(self):
                with self.capture_operations() as captured:
                    self.client.post("/check-out/")
                captured.assert_tracked("42", "order_completed", total=129.5)
    """

    @contextmanager
    def capture_operations(self, *, deliver_to: Delivers | None = None) -> Iterator[Captured]:
        """Capture what is enqueued inside the block, instead of sending it to Redis.

        At the end, the commit hooks of every database in the test case's ``databases`` run, as after a commit.

        Args:
            deliver_to: a sandbox, see :class:`trackrelay.worker.testing.DeliveringSandbox`, which gets every operation.

        Raises:
            DeliveryRefused: at the end, if the sandbox refused something.
        """
        # `default` commits last: what a hook of another database tells waits for it.
        aliases = sorted(self.databases, key=lambda alias: alias != DEFAULT_DB_ALIAS)
        with capture(deliver_to=deliver_to) as captured, ExitStack() as commits:
            for alias in aliases:
                commits.enter_context(self.captureOnCommitCallbacks(using=alias, execute=True))
            yield captured
