"""All there is to it: Oscar's own signals, told on. No line of Oscar is changed."""

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
    """Somebody, known or not, looks at a product."""
    track(visitor(request), "product_viewed", said_of(product))


@receiver(basket_addition)
def added(product: Any, request: Any, **_: object) -> None:
    """Somebody puts a product into the basket."""
    track(visitor(request), "product_added", said_of(product))


@receiver(user_registered)
def registered(request: Any, user: Any, **_: object) -> None:
    """Somebody says who they are."""
    identify_visitor(request, user, {"email": user.email, "created_at": user.date_joined})


@receiver(order_placed)
def placed(order: Any, user: Any, **_: object) -> None:
    """The event, and the state that changes with it. A guest is known by their address alone."""
    data = {
        # Text always: just placed it is a number, loaded again it is text, and segments tell the two apart.
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
    """A product as every event names it."""
    return {"product_id": product.pk, "name": product.get_title()}
