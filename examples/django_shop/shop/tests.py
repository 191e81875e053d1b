"""The shop's own tests (`manage.py test`): what each page enqueues, without a server."""

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

    def operations_of(self, path: str, data: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return what a page enqueues; post `data` if there is any."""
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
        return self.operations_of(
            "/sign-up/",
            {"email": "Ada@example.com", "first_name": "Ada", "password": "correct horse"},
        )

    def test_the_list_of_products_enqueues_nothing_and_sets_no_cookie(self) -> None:
        assert self.operations_of("/") == []
        assert len(self.client.cookies) == 0

    def test_what_an_anonymous_visitor_did_is_joined_when_they_sign_up(self) -> None:
        (viewed,) = self.operations_of("/product/tea/")
        identify, signed_up = self.sign_up()[:2]
        user = get_user_model().objects.get()
        assert identify["identifiers"] == {"id": str(user.pk)}
        assert identify["attributes"]["email"] == "ada@example.com"
        assert identify["attributes"]["anonymous_id"] == viewed["identifiers"]["anonymous_id"]
        assert signed_up["name"] == "signed_up"

    def test_an_order_enqueues_its_event_and_the_changed_attributes(self) -> None:
        self.sign_up()
        self.operations_of("/cart/", {"sku": "tea"})
        identify, event = self.operations_of("/check-out/", {})
        order = Order.objects.get()
        assert event["name"] == "order_completed"
        assert event["attributes"]["order_number"] == order.number
        assert event["attributes"]["total"] == 9.9
        assert identify["attributes"]["orders_count"] == 1
        assert identify["attributes"]["lifetime_value"] == 9.9

    def test_an_empty_cart_is_no_order(self) -> None:
        self.sign_up()
        assert self.operations_of("/check-out/", {}) == []
        assert Order.objects.count() == 0

    def test_a_changed_profile_enqueues_an_identify(self) -> None:
        self.sign_up()
        (identify,) = self.operations_of(
            "/profile/", {"first_name": "Augusta", "email": "augusta@example.com"}
        )
        assert identify["attributes"]["first_name"] == "Augusta"

    def test_a_deleted_account_is_suppressed(self) -> None:
        self.sign_up()
        user = get_user_model().objects.get()
        (suppress,) = self.operations_of("/delete-account/", {})
        assert (suppress["action"], suppress["identifiers"]) == ("suppress", {"id": str(user.pk)})
        assert not get_user_model().objects.exists()
