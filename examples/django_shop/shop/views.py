"""The shop's pages, and what each tells Customer.io."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from trackrelay import identify, suppress, track
from trackrelay.django import identify_visitor, visitor

from .customers import attributes
from .forms import ProfileForm, SignUpForm
from .models import Order, Product


def products(request: HttpRequest) -> HttpResponse:
    """Everything there is. Tells nobody anything, sets no cookie."""
    return render(request, "shop/products.html", {"products": Product.objects.order_by("name")})


def product(request: HttpRequest, sku: str) -> HttpResponse:
    """One product: somebody, known or not, looks at it."""
    found = get_object_or_404(Product, sku=sku)
    track(visitor(request), "product_viewed", said_of(found))
    return render(request, "shop/product.html", {"product": found})


def cart(request: HttpRequest) -> HttpResponse:
    """The cart, and putting something into it."""
    if request.method == "POST":
        found = get_object_or_404(Product, sku=request.POST["sku"])
        request.session["cart"] = [*request.session.get("cart", []), found.sku]
        track(visitor(request), "product_added", said_of(found))
        return redirect("cart")
    return render(request, "shop/cart.html", {"products": in_cart(request)})


def sign_up(request: HttpRequest) -> HttpResponse:
    """Somebody says who they are: everything they looked at before is theirs now."""
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            user = form.save()
            identify_visitor(request, user, attributes(user))
            track(user, "signed_up")
        login(request, user, "django.contrib.auth.backends.ModelBackend")
        return redirect("products")
    return render(
        request, "shop/form.html", {"form": form, "title": "Sign up", "button": "Sign up"}
    )


@login_required
@require_POST
def check_out(request: HttpRequest) -> HttpResponse:
    """The order, the event and the state that changes with it: all of it in one transaction."""
    bought = in_cart(request)
    if not bought:
        return redirect("cart")
    user: Any = request.user
    with transaction.atomic():
        order = Order.objects.create(customer=user, total=sum(each.price for each in bought))
        sums = user.orders.aggregate(value=Sum("total"))
        track(
            user,
            "order_completed",
            {
                "order_number": order.number,
                "total": order.total,
                "items": [said_of(each) for each in bought],
            },
            person_attributes={
                "last_order_at": order.placed_at,
                "orders_count": user.orders.count(),
                "lifetime_value": sums["value"],
            },
            idempotency_key=order.number,
        )
    request.session["cart"] = []
    messages.success(request, f"Thank you. Your order is {order.number}.")
    return redirect("products")


@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """What we know of a customer, changed by them."""
    form = ProfileForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            user = form.save()
            identify(user, attributes(user))
        messages.success(request, "Saved.")
        return redirect("profile")
    return render(
        request,
        "shop/form.html",
        {"form": form, "title": "Your profile", "button": "Save", "leave": True},
    )


@login_required
@require_POST
def delete_account(request: HttpRequest) -> HttpResponse:
    """A customer leaves: Customer.io forgets them, and nothing that is still on its way brings them back."""
    user: Any = request.user
    with transaction.atomic():
        suppress(user)  # before the primary key is gone
        user.delete()
    logout(request)
    return redirect("products")


def in_cart(request: HttpRequest) -> list[Product]:
    """What is in this visitor's cart."""
    skus = request.session.get("cart", [])
    known = {each.sku: each for each in Product.objects.filter(sku__in=skus)}
    return [known[sku] for sku in skus if sku in known]


def said_of(product: Product) -> dict[str, Any]:
    """A product as every event names it: always these names, a price always a number."""
    return {"sku": product.sku, "name": product.name, "price": product.price}
