"""Receivers of Oscar's signals that enqueue operations. No line of Oscar is changed."""

from __future__ import annotations

from typing import Any

from django.db.models import Sum
from django.dispatch import receiver
from oscar.apps.basket.signals import basket_addition
from oscar.apps.catalogue.signals import product_viewed
from oscar.apps.customer.signals import user_registered
from oscar.apps.order.signals import order_placed

from trackrelay import Person, track
from trackrelay.django import identify_visitor, visitor


@receiver(product_viewed)
def viewed(product: Any, request: Any, **_: object) -> None:
    """Track that a customer or an anonymous visitor looks at a product."""
    track(visitor(request), "product_viewed", said_of(product))


@receiver(basket_addition)
def added(product: Any, request: Any, **_: object) -> None:
    """Track that a product is added to the basket."""
    track(visitor(request), "product_added", said_of(product))


@receiver(user_registered)
def registered(request: Any, user: Any, **_: object) -> None:
    """Identify a customer who registers."""
    identify_visitor(request, user, {"email": user.email, "created_at": user.date_joined})


@receiver(order_placed)
def placed(order: Any, user: Any, **_: object) -> None:
    """Track an order with the changed attributes. A guest is known by email address only."""
    data = {
        # Always text: a new order has a number, a loaded one has text, and segments distinguish
        # them.
        "order_number": str(order.number),
        "total": order.total_incl_tax,
        "items": [
            {**said_of(line.product), "quantity": line.quantity} for line in order.lines.all()
        ],
    }
    if user is None or not user.is_authenticated:
        track(
            Person(email=order.guest_email), "order_completed", data, idempotency_key=order.number
        )
        return
    value = user.orders.aggregate(value=Sum("total_incl_tax"))["value"]
    state = {
        "last_order_at": order.date_placed,
        "orders_count": user.orders.count(),
        "lifetime_value": value,
    }
    track(user, "order_completed", data, person_attributes=state, idempotency_key=order.number)


def said_of(product: Any) -> dict[str, Any]:
    """Return the properties of a product, the same in every event."""
    return {"product_id": product.pk, "name": product.get_title()}
