"""The longer code blocks of docs/how-to/django.md, as the page has them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, models
from django.db.models.signals import post_save
from django.http import HttpResponse
from django.test import RequestFactory

from tests.django_project.shop.models import Order
from tests.support import django_project
from tests.support.docs_code import code_blocks
from trackrelay.django import visitor
from trackrelay.django.middleware import VisitorMiddleware
from trackrelay.testing import capture
from trackrelay.worker.testing import DeliveringSandbox


class Customer(models.Model):
    """A customer who is no user."""

    name = models.TextField()
    email = models.TextField()

    class Meta:
        app_label = "shop"
        managed = False


def code_with(words: str) -> dict[str, Any]:
    """Run the only block of the page that contains ``words``."""
    (code,) = [each for each in code_blocks("how-to/django.md") if words in each]
    names: dict[str, Any] = {}
    exec(compile(code, "docs/how-to/django.md", "exec"), names)
    return names


@pytest.fixture
def crm(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The application of the page, with its module ``crm.customerio``."""
    for name in ("crm", "crm.models", "crm.customerio"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules["crm.models"].__dict__["Customer"] = Customer
    module = sys.modules["crm.customerio"]
    module.__dict__.update(code_with('TRACKRELAY["PERSON"] = "crm.customerio.person"'))
    receivers = post_save.receivers
    yield module
    post_save.receivers = receivers
    post_save.sender_receivers_cache.clear()


def test_customers_who_are_no_users_are_people(crm: ModuleType) -> None:
    with (
        django_project.connected(BACKEND="memory", PERSON="crm.customerio.person"),
        capture() as captured,
    ):
        from trackrelay import track

        customer = Customer(pk=7, name="Ada", email="ada@example.com")
        track(customer, "order_completed")
        track(get_user_model()(pk=7, username="staff"), "logged_in")
        # Held here: Django keeps receivers by weak references.
        signals = code_with("@receiver(post_save, sender=Customer)")
        post_save.send(sender=Customer, instance=customer, raw=False, created=True)
        assert signals["tell"]
    captured.assert_tracked("customer-7", "order_completed")
    captured.assert_tracked("staff-7", "logged_in")
    captured.assert_identified("customer-7", email="ada@example.com", name="Ada")


def test_an_order_and_its_event_are_there_together_or_neither_is(
    shop_url: str, lite_url: str
) -> None:
    place_order = code_with("def place_order(order)")["place_order"]
    with django_project.connected(OUTBOX=True):
        from trackrelay.django.models import OutboxRow

        place_order(FailingOrder(number="A-1", customer_id="42"))
        assert (Order.objects.count(), OutboxRow.objects.count()) == (1, 1)
        with pytest.raises(DatabaseError):
            place_order(FailingOrder(number="A" * 21, customer_id="42"))
        with pytest.raises(ValueError, match="id is blank"):
            place_order(FailingOrder(number="A-2", customer_id=""))
        assert (Order.objects.count(), OutboxRow.objects.count()) == (1, 1)


class FailingOrder(Order):
    """An order of the tests' shop that knows its customer."""

    def __init__(self, *args: Any, customer_id: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.customer_id = customer_id

    class Meta:
        app_label = "shop"
        proxy = True


def test_a_guest_who_registers_later_is_one_person_with_all_of_the_history(
    shop_url: str, lite_url: str
) -> None:
    views = code_with("def order_as_guest(request, form)")
    customer_io = DeliveringSandbox()
    browser = Browser()
    order = SimpleNamespace(email="ada@example.com", first_name="Ada", number="A-1")
    user = get_user_model()(pk=42, username="ada", email="ada@example.com")

    with django_project.connected(BACKEND="memory"), capture(deliver_to=customer_io):
        from trackrelay import track

        browser.visit(lambda request: track(visitor(request), "product_viewed"))
        browser.visit(lambda request: views["order_as_guest"](request, form_of(order)))
        browser.visit(lambda request: views["register"](request, form_of(user)))

    (person,) = customer_io.people()
    assert person["identifiers"] == {"email": "ada@example.com", "id": "42"}
    assert person["attributes"]["first_name"] == "Ada"
    told = customer_io.person("id:42")
    names = [each["name"] for each in told["events"]]
    assert names == ["product_viewed", "order_completed", "registered"]


def form_of(instance: Any) -> Any:
    """A form that was filled in."""
    return SimpleNamespace(save=lambda: instance)


class Browser:
    """Visits pages, and keeps the visitor's cookie."""

    def __init__(self) -> None:
        self._requests = RequestFactory()

    def visit(self, view: Callable[[Any], Any]) -> None:
        """Let ``view`` answer."""

        def answer(request: Any) -> HttpResponse:
            view(request)
            return HttpResponse()

        response = VisitorMiddleware(answer)(self._requests.get("/"))
        for name, cookie in response.cookies.items():
            self._requests.cookies[name] = cookie.value
