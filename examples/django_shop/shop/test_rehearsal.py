"""Rehearse the shop's campaigns: a tea set on the phone, a purchase on the desktop."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from unittest import mock

from django.contrib.auth import get_user_model
from django.test import Client

from trackrelay import Person, identify
from trackrelay.testing.django import CapturingTestCase
from trackrelay.worker.testing import DeliveringSandbox

from .campaigns import CAMPAIGNS
from .models import Product

ADA = Person(email="ada@example.com")


class RehearsalTest(CapturingTestCase):
    def setUp(self) -> None:
        for sku, price in (("tea", "9.90"), ("tea-set", "49.00")):
            Product.objects.create(sku=sku, name=sku, price=Decimal(price))
        self.customer_io = DeliveringSandbox()
        for name, campaign in CAMPAIGNS.items():
            self.customer_io.define_campaign(name, **campaign)
        self.phone, self.desktop = Client(), Client()

    def post(self, browser: Client, path: str, **data: str) -> None:
        """Send a form; what it enqueues arrives at the sandbox."""
        with self.capture_operations(deliver_to=self.customer_io):
            assert browser.post(path, data).status_code == 302

    def leave_a_cart_on_the_phone(self) -> None:
        self.post(self.phone, "/cart/", sku="tea-set")
        self.post(self.phone, "/check-out/start/", email="Ada@example.com")

    def buy_tea_on_the_desktop(self) -> Any:
        ada = {"email": "ada@example.com", "first_name": "Ada", "password": "correct horse"}
        self.post(self.desktop, "/sign-up/", **ada)
        self.post(self.desktop, "/cart/", sku="tea")
        self.post(self.desktop, "/check-out/")
        return get_user_model().objects.get().pk

    def test_a_cart_that_was_left_gets_a_reminder(self) -> None:
        self.leave_a_cart_on_the_phone()
        self.customer_io.assert_would_send("abandoned_cart", ADA, times=1)

    def test_a_purchase_on_another_device_stops_the_reminder_and_starts_the_upsell(self) -> None:
        self.leave_a_cart_on_the_phone()
        customer = self.buy_tea_on_the_desktop()
        self.customer_io.advance("2d")
        self.customer_io.assert_would_not_send("abandoned_cart", customer)
        self.customer_io.assert_would_send("tea_set_upsell", customer, times=1)

    def test_a_customer_who_bought_before_the_reminder_was_due_is_spared(self) -> None:
        self.leave_a_cart_on_the_phone()
        self.customer_io.advance("50m")
        customer = self.buy_tea_on_the_desktop()
        self.customer_io.advance("1h")
        self.customer_io.assert_would_not_send("abandoned_cart", customer)

    def test_without_the_join_both_messages_fail(self) -> None:
        def without_join(_: Any, person: Person) -> str:
            return identify(person)

        with mock.patch("shop.views.identify_visitor", without_join):
            self.leave_a_cart_on_the_phone()
        with self.assertRaisesRegex(AssertionError, "whom no identify has joined to a person"):
            self.customer_io.assert_would_send("abandoned_cart", ADA)
        customer = self.buy_tea_on_the_desktop()
        with self.assertRaisesRegex(AssertionError, "does not match its filter"):
            self.customer_io.assert_would_send("tea_set_upsell", customer)
