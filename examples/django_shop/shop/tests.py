"""The shop by itself (`manage.py test`): what its pages say, on the `memory` backend and without a server."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import TestCase, override_settings

from trackrelay.default import default_producer

from .models import Order, Product


@override_settings(TRACKRELAY={**settings.TRACKRELAY, "BACKEND": "memory"})
class ShopTest(TestCase):
    def setUp(self) -> None:
        Product.objects.create(sku="tea", name="Tea", price=Decimal("9.90"))

    def say(self, path: str, data: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """What one page says; posts `data` if there is any."""
        operations = default_producer().backend.operations  # type: ignore[attr-defined]
        before = len(operations)
        with self.captureOnCommitCallbacks(execute=True):
            response = self.client.get(path) if data is None else self.client.post(path, data)
        assert response.status_code < 400
        made = [
            each
            for operation in operations[before:]
            for each in (operation.companion, operation)
            if each
        ]
        return [msgspec.json.decode(each.body) for each in made]

    def sign_up(self) -> list[dict[str, Any]]:
        return self.say(
            "/sign-up/",
            {"email": "Ada@example.com", "first_name": "Ada", "password": "correct horse"},
        )

    def test_the_list_of_products_says_nothing_and_sets_no_cookie(self) -> None:
        assert self.say("/") == []
        assert len(self.client.cookies) == 0

    def test_what_an_anonymous_visitor_did_is_joined_when_they_sign_up(self) -> None:
        (viewed,) = self.say("/product/tea/")
        identify, signed_up = self.sign_up()[:2]
        user = get_user_model().objects.get()
        assert identify["identifiers"] == {"id": str(user.pk)}
        assert identify["attributes"]["email"] == "ada@example.com"
        assert identify["attributes"]["anonymous_id"] == viewed["identifiers"]["anonymous_id"]
        assert signed_up["name"] == "signed_up"

    def test_an_order_is_told_together_with_the_state_it_changes(self) -> None:
        self.sign_up()
        self.say("/cart/", {"sku": "tea"})
        identify, event = self.say("/check-out/", {})
        order = Order.objects.get()
        assert event["name"] == "order_completed"
        assert event["attributes"]["order_number"] == order.number
        assert event["attributes"]["total"] == 9.9
        assert identify["attributes"]["orders_count"] == 1
        assert identify["attributes"]["lifetime_value"] == 9.9

    def test_an_empty_cart_is_no_order(self) -> None:
        self.sign_up()
        assert self.say("/check-out/", {}) == []
        assert Order.objects.count() == 0

    def test_a_changed_profile_is_told(self) -> None:
        self.sign_up()
        (identify,) = self.say(
            "/profile/", {"first_name": "Augusta", "email": "augusta@example.com"}
        )
        assert identify["attributes"]["first_name"] == "Augusta"

    def test_who_leaves_is_suppressed(self) -> None:
        self.sign_up()
        user = get_user_model().objects.get()
        (suppress,) = self.say("/delete-account/", {})
        assert (suppress["action"], suppress["identifiers"]) == ("suppress", {"id": str(user.pk)})
        assert not get_user_model().objects.exists()
