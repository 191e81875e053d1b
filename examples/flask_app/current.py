"""The customer who is logged in."""

from __future__ import annotations

import flask

from .models import Account
from .shop import db, relay


def current_account() -> Account | None:
    """Return the customer who is logged in, or None."""
    account_id = flask.session.get("account")
    return db.session.get(Account, account_id) if account_id else None


def logged_in_account() -> Account:
    """Return the customer who is logged in; answer 401 if there is none."""
    return current_account() or flask.abort(401)


@relay.person_loader
def who_is_it() -> str | None:
    """Return the customer's id at Customer.io."""
    account = current_account()
    return account.id if account else None
