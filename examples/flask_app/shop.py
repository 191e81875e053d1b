"""The application and its two extensions."""

from __future__ import annotations

from typing import Any

import flask
from flask_sqlalchemy import SQLAlchemy

from trackrelay.flask import TrackRelay

db = SQLAlchemy()
# With the database: everything goes by way of the outbox, so nothing is lost while Redis is away, and one person's
# operations of several requests stay in order.
relay = TrackRelay(db=db)


def create_app(**config: Any) -> flask.Flask:
    """The shop.

    Args:
        config: settings, Flask's and ours, e.g. ``SQLALCHEMY_DATABASE_URI`` and ``TRACKRELAY_REDIS_URL``.
    """
    app = flask.Flask(__name__)
    app.config.update(
        {"SECRET_KEY": "only for an example", "TRACKRELAY_SOURCE": "flask-shop"} | config
    )
    db.init_app(app)
    relay.init_app(app)

    from . import accounts, orders, shelves

    for part in (shelves, accounts, orders):
        app.register_blueprint(part.blueprint)
    with app.app_context():
        # A shop that is to last has migrations: Flask-Migrate finds the outbox's table in db.metadata.
        db.create_all()
    return app
