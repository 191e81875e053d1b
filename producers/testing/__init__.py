"""For an application's own tests: what it enqueues is captured, without Redis, and can be asserted on.

    with capture() as captured:
        client.post("/checkout")
    captured.assert_tracked("42", "order_completed", total=129.5)

For pytest there is a fixture, ``captured_operations``: ``pytest_plugins = ["trackrelay.testing.pytest_plugin"]`` in ``conftest.py``.
"""

from .captured import Captured, CapturedOperation
from .capturing import capture
from .delivering import Delivers, DeliveryRefused

__all__ = ["Captured", "CapturedOperation", "Delivers", "DeliveryRefused", "capture"]
