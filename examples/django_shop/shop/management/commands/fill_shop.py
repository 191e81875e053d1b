"""``manage.py fill_shop``: something to buy, and somebody who may look at the admin."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from shop.models import Product

PRODUCTS = {
    "teapot": ("A teapot", "24.50"),
    "cups": ("Four cups", "18.00"),
    "tea": ("Darjeeling, 100 g", "9.90"),
}


class Command(BaseCommand):
    help = "Put a few products into the shop, and a superuser admin with the password admin."

    def handle(self, *_: Any, **__: Any) -> None:
        for sku, (name, price) in PRODUCTS.items():
            Product.objects.get_or_create(sku=sku, defaults={"name": name, "price": Decimal(price)})
        users = get_user_model().objects
        if not users.filter(username="admin").exists():
            users.create_superuser("admin", "admin@example.com", "admin")
