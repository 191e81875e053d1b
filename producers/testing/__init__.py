"""Capture what an application's tests enqueue, without Redis, and make assertions about it.

    with capture() as captured:
        client.post("/checkout")
    captured.assert_tracked("42", "order_completed", total=129.5)

For pytest there is the fixture ``captured_operations``. Add it by
``pytest_plugins = ["trackrelay.testing.pytest_plugin"]`` in ``conftest.py``.
"""

from .capture_context import Delivers, DeliveryRefusedError, capture
from .captured import Captured, CapturedOperation

#: The name of 0.1.0.
DeliveryRefused = DeliveryRefusedError

__all__ = [
    "Captured",
    "CapturedOperation",
    "Delivers",
    "DeliveryRefused",
    "DeliveryRefusedError",
    "capture",
]
