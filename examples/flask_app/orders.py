"""The cart and the checkout."""

from __future__ import annotations

import flask
from flask.typing import ResponseReturnValue

from trackrelay import Person
from trackrelay.flask import identify_visitor, visitor

from . import plan_events
from .current import current_account, logged_in_account
from .models import Order
from .shelves import PRODUCTS
from .shop import db, relay

blueprint = flask.Blueprint("orders", __name__)


@blueprint.get("/cart")
def cart() -> ResponseReturnValue:
    """Show the cart."""
    skus = flask.session.get("cart", [])
    return flask.render_template(
        "cart.html", products=[PRODUCTS[sku] for sku in skus], account=current_account()
    )


@blueprint.post("/checkout/start")
def start_checkout() -> ResponseReturnValue:
    """Track the start of a checkout. A guest's email makes the visitor's history a person's."""
    skus = flask.session.get("cart") or flask.abort(400)
    if current_account() is None:
        email = flask.request.form["email"].strip().lower()
        identify_visitor(Person(email=email), through=relay.outbox)
    value = sum(PRODUCTS[sku][1] for sku in skus)
    data: plan_events.CheckoutStarted = {"cart_value": value, "skus": skus}
    plan_events.checkout_started(visitor(), data, through=relay.outbox)
    db.session.commit()
    return flask.redirect(flask.url_for("accounts.account"))


@blueprint.post("/checkout")
def checkout() -> ResponseReturnValue:
    """Store the order, its event and the changed attributes in one transaction."""
    account = logged_in_account()
    skus = flask.session.get("cart") or flask.abort(400)
    order = Order(account=account, total=sum(PRODUCTS[sku][1] for sku in skus))
    db.session.add(order)
    db.session.flush()
    plan_events.order_completed(
        account.id,
        {"order_number": order.number, "total": order.total, "skus": skus},
        # Segments and campaigns use these attributes: they arrive just before the event.
        person_attributes={
            "last_order_at": order.placed_at,
            "orders_count": len(account.orders),
            "lifetime_value": account.lifetime_value,
        },
        # Repeated calls for one order make one event.
        idempotency_key=order.number,
        through=relay.outbox,
    )
    db.session.commit()
    flask.session["cart"] = []
    return flask.redirect(flask.url_for("accounts.account"))
