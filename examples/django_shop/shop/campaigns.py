"""The shop's campaigns as data. Marketing builds them in Customer.io; tests rehearse them."""

from __future__ import annotations

from typing import Any

#: By name: the arguments of `DeliveringSandbox.define_campaign`.
CAMPAIGNS: dict[str, dict[str, Any]] = {
    # An hour after a checkout that did not become an order.
    "abandoned_cart": {
        "trigger": "checkout_started",
        "wait": "1h",
        "unless": "order_completed",
    },
    # A day after an order, if the tea set was in the cart once and was never bought.
    "tea_set_upsell": {
        "trigger": "order_completed",
        "wait": "1d",
        "filter": {"event": {"name": "product_added", "data": {"sku": "tea-set"}}},
        "unless": {"event": {"name": "order_completed", "data": {"items[].sku": "tea-set"}}},
    },
}
