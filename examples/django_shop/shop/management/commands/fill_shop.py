"""``manage.py fill_shop``: products, a user for the admin, and a dead letter."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from shop.models import Product
from trackrelay import identify

PRODUCTS = {
    "teapot": ("A teapot", "24.50"),
    "cups": ("Four cups", "18.00"),
    "tea": ("Darjeeling, 100 g", "9.90"),
}


class Command(BaseCommand):
    help = "Create products, the superuser admin with the password admin, and a dead letter."

    def handle(self, *_: Any, **__: Any) -> None:
        for sku, (name, price) in PRODUCTS.items():
            Product.objects.get_or_create(sku=sku, defaults={"name": name, "price": Decimal(price)})
        users = get_user_model().objects
        if not users.filter(username="admin").exists():
            admin = users.create_superuser("admin", "admin@example.com", "admin")
            # Customer.io takes 1,000 bytes per value, so this call leaves a dead letter
            # (ON_INVALID).
            identify(admin, {"first_name": "Admin", "bio": "Collects teapots. " * 80})
