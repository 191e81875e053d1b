"""``manage.py buy``: look, register and buy through Oscar's own pages."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand
from django.test import Client
from django.urls import reverse
from oscar.apps.address.models import Country
from oscar.apps.order.models import Order
from oscar.test.factories import create_product

ADDRESS = {
    "first_name": "Ada",
    "last_name": "Lovelace",
    "line1": "Unter den Linden 1",
    "line4": "Berlin",
    "postcode": "10117",
}


class Command(BaseCommand):
    help = "Look at a product, register, and buy it."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("email")

    def handle(self, *_: Any, email: str, **__: Any) -> None:
        germany = Country.objects.get_or_create(
            iso_3166_1_a2="DE",
            defaults={"printable_name": "Germany", "name": "GERMANY", "is_shipping_country": True},
        )[0]
        product = create_product(title="A teapot", price=Decimal("24.50"), num_in_stock=10)
        self.client = Client()
        self.client.get(product.get_absolute_url())
        self.post(
            "customer:register",
            {"email": email, "password1": "correct horse", "password2": "correct horse"},
        )
        self.post("basket:add", {"quantity": 1}, product.pk)
        address = {f"{name}": value for name, value in ADDRESS.items()}
        self.post("checkout:shipping-address", {**address, "country": germany.pk})
        self.client.get(reverse("checkout:shipping-method"))
        self.client.get(reverse("checkout:payment-method"))
        self.post("checkout:preview", {"action": "place_order"})
        self.stdout.write(Order.objects.latest("pk").number)

    def post(self, name: str, data: dict[str, Any], *arguments: Any) -> None:
        """Send a form; if no redirect follows, fail with the errors on the page."""
        response = self.client.post(reverse(name, args=arguments), data)
        if response.status_code != 302:
            raise SystemExit(
                f"{name}: {response.status_code}: {getattr(response, 'context_data', {})}"
            )
