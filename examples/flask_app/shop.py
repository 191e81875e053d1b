"""The application and its two extensions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flask
from flask_sqlalchemy import SQLAlchemy

from trackrelay.flask import TrackRelay

db = SQLAlchemy()
# With the database, all operations go through the outbox: none is lost while Redis is unreachable,
# and a person's operations stay in order across requests.
relay = TrackRelay(db=db)


def create_app(**config: Any) -> flask.Flask:
    """Return the shop's application.

    Args:
        config: Settings of Flask and trackrelay, e.g. ``SQLALCHEMY_DATABASE_URI`` and
            ``TRACKRELAY_REDIS_URL``.
    """
    app = flask.Flask(__name__)
    app.config.update(
        {
            "SECRET_KEY": "only for an example",
            "TRACKRELAY_SOURCE": "flask-shop",
            # What the shop sends: calls are checked against it, and plan_events.py is made of it.
            "TRACKRELAY_PLAN": Path(__file__).with_name("trackrelay-plan.yaml"),
        }
        | config
    )
    db.init_app(app)
    relay.init_app(app)

    from . import accounts, orders, shelves

    for part in (shelves, accounts, orders):
        app.register_blueprint(part.blueprint)
    with app.app_context():
        # A real shop has migrations: Flask-Migrate finds the outbox's table in db.metadata.
        db.create_all()
    return app
