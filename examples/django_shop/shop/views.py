"""The shop's pages, and what each enqueues for Customer.io."""

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

from trackrelay import Person, suppress
from trackrelay.django import identify_visitor, visitor

from . import plan_events
from .customers import attributes
from .forms import GuestForm, ProfileForm, SignUpForm
from .models import Order, Product


def products(request: HttpRequest) -> HttpResponse:
    """List the products. Enqueue nothing and set no cookie."""
    return render(request, "shop/products.html", {"products": Product.objects.order_by("name")})


def product(request: HttpRequest, sku: str) -> HttpResponse:
    """Show a product; track the view, also of an anonymous visitor."""
    found = get_object_or_404(Product, sku=sku)
    plan_events.product_viewed(visitor(request), properties_of(found))
    return render(request, "shop/product.html", {"product": found})


def cart(request: HttpRequest) -> HttpResponse:
    """Show the cart, or add a product to it."""
    if request.method == "POST":
        found = get_object_or_404(Product, sku=request.POST["sku"])
        request.session["cart"] = [*request.session.get("cart", []), found.sku]
        plan_events.product_added(visitor(request), properties_of(found))
        return redirect("cart")
    return render(request, "shop/cart.html", {"products": in_cart(request)})


def sign_up(request: HttpRequest) -> HttpResponse:
    """Sign up; what the visitor did before joins the new customer."""
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            user = form.save()
            identify_visitor(request, user, attributes(user))
            plan_events.signed_up(user)
        login(request, user, "django.contrib.auth.backends.ModelBackend")
        return redirect("products")
    return render(
        request, "shop/form.html", {"form": form, "title": "Sign up", "button": "Sign up"}
    )


@require_POST
def start_check_out(request: HttpRequest) -> HttpResponse:
    """Track the start of a checkout. A guest's email makes the visitor's history a person's."""
    wanted = in_cart(request)
    form = GuestForm(request.POST)
    is_guest = not request.user.is_authenticated
    if not wanted or (is_guest and not form.is_valid()):
        return redirect("cart")
    with transaction.atomic():
        if is_guest:
            identify_visitor(request, Person(email=form.cleaned_data["email"]))
        plan_events.checkout_started(
            visitor(request),
            {
                "cart_value": sum(each.price for each in wanted),
                "items": [properties_of(each) for each in wanted],
            },
        )
    return redirect("sign_up" if is_guest else "cart")


@login_required
@require_POST
def check_out(request: HttpRequest) -> HttpResponse:
    """Store the order, its event and the changed attributes in one transaction."""
    bought = in_cart(request)
    if not bought:
        return redirect("cart")
    user: Any = request.user
    with transaction.atomic():
        order = Order.objects.create(customer=user, total=sum(each.price for each in bought))
        sums = user.orders.aggregate(value=Sum("total"))
        plan_events.order_completed(
            user,
            {
                "order_number": order.number,
                "total": order.total,
                "items": [properties_of(each) for each in bought],
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
    """Let a customer change the profile."""
    form = ProfileForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            user = form.save()
            plan_events.identify(user, attributes(user))
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
    """Delete a customer, also at Customer.io; jobs in the queue do not restore the person."""
    user: Any = request.user
    with transaction.atomic():
        suppress(user)  # while the user still has a primary key
        user.delete()
    logout(request)
    return redirect("products")


def in_cart(request: HttpRequest) -> list[Product]:
    """Return the products in the visitor's cart."""
    skus = request.session.get("cart", [])
    known = {each.sku: each for each in Product.objects.filter(sku__in=skus)}
    return [known[sku] for sku in skus if sku in known]


def properties_of(product: Product) -> plan_events.ProductViewed:
    """Return the properties of a product, the same in every event."""
    return {"sku": product.sku, "name": product.name, "price": product.price}
