"""Products and orders."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models


class Product(models.Model):
    """A product."""

    sku = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=8, decimal_places=2)

    def __str__(self) -> str:
        return self.name


def new_number() -> str:
    """Return a new order number."""
    return f"A-{uuid.uuid4().hex[:10].upper()}"


class Order(models.Model):
    """A placed order. It stays when its customer deletes the account."""

    number = models.CharField(max_length=20, unique=True, default=new_number)
    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="orders"
    )
    total = models.DecimalField(max_digits=10, decimal_places=2)
    placed_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.number
