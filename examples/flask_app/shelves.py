"""The products, for customers and anonymous visitors."""

from __future__ import annotations

from decimal import Decimal

import flask
from flask.typing import ResponseReturnValue

from trackrelay import page
from trackrelay.flask import visitor

from . import plan_events
from .current import current_account

blueprint = flask.Blueprint("shelves", __name__)

#: Name and price of each product, by SKU.
PRODUCTS = {
    "mug": ("A mug", Decimal("12.50")),
    "pot": ("A tea pot", Decimal("39.00")),
    "tea": ("Green tea", Decimal("8.90")),
}


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """List the products."""
    page(visitor(), "Home", {"url": flask.request.url})
    return flask.render_template("home.html", products=PRODUCTS, account=current_account())


@blueprint.get("/products/<sku>")
def product(sku: str) -> ResponseReturnValue:
    """Show a product."""
    name, price = PRODUCTS.get(sku) or flask.abort(404)
    # Enqueued at the end of the request: an unreachable queue does not break the page.
    plan_events.product_viewed(visitor(), {"sku": sku, "price": price})
    return flask.render_template(
        "product.html", sku=sku, name=name, price=price, account=current_account()
    )


@blueprint.post("/cart/<sku>")
def add_to_cart(sku: str) -> ResponseReturnValue:
    """Add a product to the cart."""
    _, price = PRODUCTS.get(sku) or flask.abort(404)
    flask.session["cart"] = [*flask.session.get("cart", []), sku]
    plan_events.product_added(visitor(), {"sku": sku, "price": price})
    return flask.redirect(flask.url_for("orders.cart"))
