"""Sign up, log in and out, change the profile, delete the account."""

from __future__ import annotations

import flask
import sqlalchemy as sa
from flask.typing import ResponseReturnValue

from trackrelay.flask import forget_visitor, identify_visitor

from . import plan_events
from .current import current_account, logged_in_account
from .models import Account
from .shop import db, relay

blueprint = flask.Blueprint("accounts", __name__)


@blueprint.get("/account")
def account() -> ResponseReturnValue:
    """Show the account, or the forms to sign up and log in."""
    return flask.render_template("account.html", account=current_account())


@blueprint.post("/sign-up")
def sign_up() -> ResponseReturnValue:
    """Create an account; what the visitor did before joins the new customer."""
    form = flask.request.form
    account = Account(
        email=form["email"].strip().lower(), name=form["name"], wants_news="wants_news" in form
    )
    db.session.add(account)
    try:
        db.session.flush()
    except sa.exc.IntegrityError:
        db.session.rollback()
        return "There is an account with this email.", 409
    identify_visitor(account.id, _attributes(account), through=relay.outbox)
    plan_events.signed_up(account.id, through=relay.outbox)
    db.session.commit()
    flask.session["account"] = account.id
    return flask.redirect(flask.url_for("accounts.account"))


@blueprint.post("/log-in")
def log_in() -> ResponseReturnValue:
    """Log in. (A real shop asks for a password, too.)"""
    email = flask.request.form["email"].strip().lower()
    account = db.session.scalar(sa.select(Account).where(Account.email == email)) or flask.abort(
        404
    )
    flask.session["account"] = account.id
    identify_visitor(account.id)
    return flask.redirect(flask.url_for("accounts.account"))


@blueprint.post("/log-out")
def log_out() -> ResponseReturnValue:
    """Log out; the next user of this browser is another visitor."""
    flask.session.clear()
    forget_visitor()
    return flask.redirect(flask.url_for("shelves.home"))


@blueprint.post("/profile")
def change_profile() -> ResponseReturnValue:
    """Change name and consent in the shop and at Customer.io, in one transaction."""
    account = logged_in_account()
    account.name = flask.request.form["name"]
    account.wants_news = "wants_news" in flask.request.form
    plan_events.identify(account.id, _attributes(account), through=relay.outbox)
    db.session.commit()
    return flask.redirect(flask.url_for("accounts.account"))


@blueprint.post("/account/delete")
def delete_account() -> ResponseReturnValue:
    """Delete the account, also at Customer.io; jobs in the queue do not restore the person."""
    account = logged_in_account()
    relay.outbox.suppress(account.id)
    db.session.delete(account)
    db.session.commit()
    return log_out()


def _attributes(account: Account) -> plan_events.PersonAttributes:
    # Only this shop decides about consent: "unsubscribed" is set nowhere else.
    return {"email": account.email, "name": account.name, "unsubscribed": not account.wants_news}
